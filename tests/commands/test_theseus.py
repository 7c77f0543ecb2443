"""`bertslim theseus`: from a fine-tuned model to a cheaper one that goes wherever models go."""

import errno
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
import transformers

from bertslim.cli import main
from bertslim.methods.theseus.schedule import Schedule
from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.resume import STATE_FILE
from tests.commands.shell import bash, start
from tests.model.zoo import run, same
from tests.runtime.tensorrt.worlds import builds
from tests.tiny import record_of, save_tiny_bert, write_sentence_task

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs" / "theseus").glob("*.toml"))
Printed = pytest.CaptureFixture[str]

TOKENIZER = {"tokenizer.json", "tokenizer_config.json"}
OWN = {"config.json", "model.safetensors", "provenance.json", "replacement.svg"}
MODELLING = {"configuration.py", "layers.py", "modeling.py"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task, a predecessor of four layers, and a successor of each sort."""
    place = tmp_path_factory.mktemp("theseus")
    labels = {0: "0", 1: "1"}
    shape = {"num_hidden_layers": 4, "max_position_embeddings": 160}
    save_tiny_bert(place / "whole", **shape, id2label=labels)
    write_sentence_task(place / "data")
    for name, kinds in (("half", "layers=1/2"), ("cheap", "layers=1/2,kv-heads=1,window=6,ffn=48")):
        assert replaced(place, kinds, "-o", str(place / name)) == 0
    return place


def replaced(place: Path, kinds: str, *more: str) -> int:
    given = ["--task", str(place / "data" / "task.toml"), "--successor", kinds]
    few = ["--epochs", "2", "--batch-size", "32"]
    return main(["theseus", str(place / "whole"), *given, *few, *more])


def test_fewer_layers_are_a_stock_checkpoint(made: Path) -> None:
    assert {file.name for file in (made / "half").iterdir()} == TOKENIZER | OWN
    config = json.loads((made / "half" / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"]) == ("bert", 2)
    stock = transformers.BertForSequenceClassification.from_pretrained(made / "half").eval()
    own, ids = load_model(open_checkpoint(made / "half")), torch.randint(5, 30, (3, 9))
    assert same(run(stock, input_ids=ids).logits, run(own, input_ids=ids).logits, 1e-5)


def test_shared_keys_and_windows_open_with_remote_code(made: Path) -> None:
    assert {file.name for file in (made / "cheap").iterdir()} == TOKENIZER | OWN | MODELLING
    config = json.loads((made / "cheap" / "config.json").read_text())
    assert config["model_type"] == "slim_bert"
    kept = ("num_hidden_layers", "num_key_value_heads", "attention_window", "intermediate_size")
    assert [config[name] for name in kept] == [2, 1, 6, 48]
    auto = transformers.AutoModelForSequenceClassification
    plain = auto.from_pretrained(made / "cheap", trust_remote_code=True).eval()
    own, ids = load_model(open_checkpoint(made / "cheap")), torch.randint(5, 30, (3, 9))
    assert same(run(plain, input_ids=ids).logits, run(own, input_ids=ids).logits, 1e-6)


def test_the_report_holds_the_schedule_and_both_models(made: Path) -> None:
    report = record_of(made / "cheap")["report"]
    told = report["theseus"]
    assert told["modules"] == [[0, 1], [2, 3]]
    assert told["schedule"] == {"curriculum": "linear", "rate": 0.3, "full_at": 6, "steps": 6}
    assert [len(told[name]) for name in ("rates", "replaced")] == [3, 3]
    assert told["rates"][-1] == told["replaced"][-1] == 1.0
    assert len(told["training"]["metrics"]) == 3
    for what in ("parameters", "flops"):
        assert report["after"][what] < report["before"][what]
    assert report["after"]["score"]["examples"] == 48


def test_the_run_is_drawn(made: Path) -> None:
    picture = (made / "half" / "replacement.svg").read_text()
    assert picture.lstrip().startswith("<?xml")
    for said in ("share of modules replaced", "accuracy of the successor alone", "task", "rate"):
        assert f"<!-- {said}" in picture
    assert "behind the dashed line the successor is alone" in picture


def test_no_line_is_spoken_of_where_there_is_no_second_phase(made: Path, tmp_path: Path) -> None:
    output = ["--finetune-epochs", "0", "-o", str(tmp_path / "out")]
    assert replaced(made, "layers=1/4", *output) == 0
    assert "dashed line" not in (tmp_path / "out" / "replacement.svg").read_text()


def test_the_same_run_draws_the_same_picture(made: Path, tmp_path: Path) -> None:
    assert replaced(made, "layers=1/2", "-o", str(tmp_path / "again")) == 0
    for name in ("replacement.svg", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (made / "half" / name).read_bytes()


@pytest.mark.parametrize("step", [1, 5])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    made: Path, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Printed
) -> None:
    drawn = Schedule.drawn

    def interrupting(self: Schedule, at: int, modules: int, seed: int) -> npt.NDArray[np.bool_]:
        if at == step:
            signal.raise_signal(signal.SIGINT)
        return drawn(self, at, modules, seed)

    output = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Schedule, "drawn", interrupting)
        assert replaced(made, "layers=1/2", "-o", str(output)) == 130
    assert not output.exists()
    capfd.readouterr()
    assert replaced(made, "layers=1/2", "-o", str(output)) == 0
    assert f"going on from step {step + 1} " in capfd.readouterr().err
    assert not list(tmp_path.glob(".out.*"))
    whole = (made / "half" / "model.safetensors").read_bytes()
    assert (output / "model.safetensors").read_bytes() == whole
    told = [record_of(directory)["report"]["theseus"] for directory in (output, made / "half")]
    assert told[0]["replaced"] == told[1]["replaced"]
    assert told[0]["training"]["losses"] == told[1]["training"]["losses"]


def wait_for_a_save(process: subprocess.Popen[str], output: Path) -> None:
    """Wait until a run that was just started saves its state."""

    def last() -> int:
        states = output.parent.glob(f".{output.name}.*/resume/{STATE_FILE}")
        return max((file.stat().st_mtime_ns for file in states), default=0)

    before, deadline = last(), time.monotonic() + 300
    while last() <= before:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_stopped_and_a_killed_process_go_on_to_the_same_bytes(made: Path, tmp_path: Path) -> None:
    output, epochs = tmp_path / "out", ["--epochs", "10", "--finetune-epochs", "10"]
    words = ["theseus", str(made / "whole"), "--task", str(made / "data" / "task.toml")]
    words += ["--successor", "layers=1/2", "--unfreeze", *epochs]
    for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = start([*words, "-o", str(output)], tmp_path)
        wait_for_a_save(process, output)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out) == (code, ""), err
        assert not output.exists()
    for directory in (output, tmp_path / "whole"):
        # processes as well: bits depend on the number of threads
        process = start([*words, "-o", str(directory)], tmp_path)
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, f"{directory}\n"), err
    assert not list(tmp_path.glob(".*"))
    for name in ("model.safetensors", "replacement.svg"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_reader_that_went_away_and_a_full_one_are_no_traceback(made: Path) -> None:
    words = "--task data/task.toml --successor layers=1/2 --epochs 2 --batch-size 32 -o half"
    again = f"bertslim theseus whole {words}"
    done = bash(f"{again} | true; {again} > /dev/full", made)
    assert done.returncode == 1
    assert done.stderr.count("up to date") == 2
    assert "no space left to write the output" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_something_in_it_is_left_alone(
    made: Path, tmp_path: Path, capfd: Printed
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert replaced(made, "layers=1/2", "-o", str(tmp_path)) == 4
    assert "Traceback" not in capfd.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_one_line(
    made: Path, tmp_path: Path, capfd: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", refuse)
    assert replaced(made, "layers=1/2", "-o", str(tmp_path / "out")) == 1
    said = capfd.readouterr().err
    assert "no space left" in said.lower()
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_the_output_is_named_after_what_was_asked_for(made: Path, capfd: Printed) -> None:
    assert replaced(made, "layers=2+1+1, kv-heads=1", "--dry-run") == 0
    assert "whole-layers2+1+1-kv-heads1 " in capfd.readouterr().err
    assert replaced(made, "layers=1/2", "--dry-run") == 0
    assert "whole-layers1of2 " in capfd.readouterr().err


def test_options_that_play_no_part_are_refused_before_the_model_is_looked_at(
    made: Path, capfd: Printed
) -> None:
    task = ["--task", str(made / "data" / "task.toml"), "--successor", "window=6"]
    idle = ["--schedule", "constant", "--full-at", "0.5", "--initialise", "last"]
    # what is typed is meant, even the default
    assert main(["theseus", "nowhere", *task, *idle, "--sharing", "fitted"]) == 2
    said = capfd.readouterr().err
    assert [line for line in said.splitlines() if line.startswith("  - ")] == [
        "  - --full-at 0.5 is where a line ends, and --schedule constant has none: leave it out",
        "  - --initialise last is for layers, and --successor window=6 has none: leave it out, or "
        "add layers=1/2, say",
        "  - --sharing fitted is for kv-heads, and --successor window=6 has none: leave it out, or "
        "add kv-heads=1, say",
    ]


def test_files_of_flags_are_judged_by_what_differs_from_the_defaults(
    made: Path, tmp_path: Path, capfd: Printed
) -> None:
    file = tmp_path / "flags.toml"
    usual = 'schedule = "constant"\nfull-at = 1.0\ninitialise = "first"\n'
    file.write_text(f'{usual}sharing = "fitted"\n')
    assert replaced(made, "window=6", "--config", str(file), "--dry-run") == 0
    file.write_text(f'{usual}sharing = "index"\n')
    capfd.readouterr()
    assert replaced(made, "window=6", "--config", str(file), "--dry-run") == 2
    said = capfd.readouterr().err
    assert "--sharing index is for kv-heads" in said
    assert "  - " not in said


def test_a_record_replays_itself_although_it_names_all_options(made: Path, capfd: Printed) -> None:
    record = made / "half" / "provenance.json"
    assert "sharing" in record_of(made / "half")["options"]
    assert main(["theseus", "--config", str(record), "-o", str(made / "half")]) == 0
    assert "up to date" in capfd.readouterr().err


def test_a_dry_run_tells_what_the_model_does_not_allow(
    made: Path, tmp_path: Path, capfd: Printed
) -> None:
    assert replaced(made, "layers=1/3,kv-heads=3", "--dry-run", "-o", str(tmp_path / "out")) == 2
    said = capfd.readouterr().err
    assert said.count("\n  - ") == 2
    assert "layers=1/3 does not divide 4 layers" in said
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_asked_for_is_told_before_the_model_is_looked_at(
    made: Path, capfd: Printed
) -> None:
    words = ["--successor", "layers=2/3,window=0", "--rate", "0", "--full-at", "never"]
    task = ["--task", str(made / "data" / "task.toml")]
    assert main(["theseus", "nowhere", *task, *words]) == 2
    said = capfd.readouterr().err.splitlines()
    assert [line.split(" ")[3] for line in said if line.startswith("  - ")] == [
        "--successor:",
        "--successor:",
        "--rate",
        "--full-at",
    ]


def test_flags_are_checked_before_torch_is_loaded(made: Path) -> None:
    words = "theseus nowhere --task data/task.toml --successor layers=2/3"
    done = bash(f"python -X importtime -m bertslim {words}", made)
    assert done.returncode == 2
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported & {"torch", "transformers", "datasets", "matplotlib"} == set()


def test_what_the_model_and_the_run_do_not_allow_is_told_at_once(
    made: Path, tmp_path: Path, capfd: Printed
) -> None:
    more = ["--full-at", "7", "-o", str(tmp_path / "out")]
    assert replaced(made, "layers=1/3,kv-heads=3,window=400,ffn=99", *more) == 2
    said = capfd.readouterr().err
    assert said.count("\n  - ") == 5
    assert "--full-at 7 is past the 6 steps in which modules are replaced" in said
    assert not list(tmp_path.iterdir())


def test_a_model_without_the_tasks_head_is_refused(made: Path, tmp_path: Path) -> None:
    save_tiny_bert(tmp_path / "tagger", "token-classification")
    task = ["--task", str(made / "data" / "task.toml")]
    assert main(["theseus", str(tmp_path / "tagger"), *task, "--successor", "layers=1/2"]) == 1


def graph_of(deployed: Path) -> onnx.ModelProto:
    return onnx.load_model(deployed / "model.onnx")


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_the_successor_is_fused_and_written_in_int8(
    made: Path, target: str, tmp_path: Path
) -> None:
    fused, int8 = tmp_path / "fused", tmp_path / "int8"
    assert main(["fuse", str(made / "cheap"), "--target", target, "-o", str(fused), "-q"]) == 0
    counts = record_of(fused)["report"]["fusions"]
    # a layer's blocks, its first token, and the last layer's
    assert counts["attention"] == {"happened": 3, "expected": 3}
    task = ["--task", str(made / "data" / "task.toml"), "--examples", "16", "-q"]
    given = ["--precision", "int8", "--target", target, "-o", str(int8)]
    assert main(["quantize", str(made / "cheap"), *given, *task]) == 0
    counts = record_of(int8)["report"]["fusions"]
    assert counts["int8 GEMM"] == {"happened": 12, "expected": 12}
    for deployed in (fused, int8):
        assert "attention_window_6/mask" in {node.name for node in graph_of(deployed).graph.node}


@builds
@pytest.mark.parametrize("name", ["half", "cheap"])
def test_the_successor_is_built_for_turing(made: Path, name: str, tmp_path: Path) -> None:
    task = ["--task", str(made / "data" / "task.toml"), "--examples", "16", "-q"]
    given = ["--precision", "int8", "--target", "tensorrt-rtx", "-o", str(tmp_path / "out")]
    assert main(["quantize", str(made / name), *given, *task]) == 0
    assert json.loads((tmp_path / "out" / "deploy.json").read_text())["details"]["sm"] == "75"
    # one key and one value, of 8 channels, are repeated for four heads
    graph = graph_of(tmp_path / "out").graph
    repeated = [node.op_type for node in graph.node if node.name.endswith("/copies")]
    assert repeated == ["Expand"] * (4 if name == "cheap" else 0)
    sizes = {tuple(w.dims) for w in graph.initializer if w.name.endswith("key.weight:int8")}
    assert sizes == {(32, 8 if name == "cheap" else 32)}


def test_the_successor_is_timed_beside_its_predecessor(
    made: Path, tmp_path: Path, capfd: Printed
) -> None:
    shutil.copytree(made / "cheap", tmp_path / "cheap")
    quick = ["--seconds", "0", "--rounds", "2", "--warm-up", "0", "--no-memory", "-q", "--json"]
    few = ["--runtime", "torch,openvino", "--batch", "2", "--length", "16"]
    assert main(["bench", str(made / "whole"), str(tmp_path / "cheap"), *few, *quick]) == 0
    assert len(json.loads(capfd.readouterr().out)["rows"]) == 4


@pytest.fixture(scope="module")
def six_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A predecessor with as many layers, heads and units as MiniLM-L6."""
    shape = {"num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    place = tmp_path_factory.mktemp("six")
    return save_tiny_bert(place / "m", hidden_size=48, max_position_embeddings=160, **shape)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_accepted(recipe: Path, made: Path, six_layers: Path, capfd: Printed) -> None:
    task = ["--task", str(made / "data" / "task.toml")]
    given = ["--config", str(recipe), "--dry-run"]
    assert main(["theseus", str(six_layers), *task, *given]) == 0
    assert "would write" in capfd.readouterr().err


def test_the_recipes_are_all_described() -> None:
    readme = (ROOT / "configs" / "theseus" / "README.md").read_text()
    described = re.findall(r"^\| `([\w-]+\.toml)` \|", readme, re.MULTILINE)
    assert sorted(described) == [path.name for path in RECIPES]
