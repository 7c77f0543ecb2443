"""What every command promises: stdout, repeats, refusals, saved flags, exit codes."""

import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from bertslim.cli import main
from tests.tiny import record_of, save_tiny_bert, write_sentence_task

Printed = pytest.CaptureFixture[str]
EVALUATE = ["evaluate", "tiny", "--task", "data/task.toml"]


def prune(*more: str, remove: str = "0.25") -> int:
    return main(["prune-heads", "tiny", "--task", "data/task.toml", "--remove", remove, *more])


def test_stdout_is_one_line(place: Path, capfd: Printed) -> None:
    assert prune() == 0
    assert capfd.readouterr().out == f"{place}/tiny-heads25\n"
    assert prune("--json") == 0
    printed = json.loads(capfd.readouterr().out)
    key = record_of(place / "tiny-heads25")["key"]
    assert printed == {"path": f"{place}/tiny-heads25", "key": key}


@pytest.mark.usefixtures("place")
def test_what_libraries_print_goes_to_stderr(
    capfd: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from bertslim.model import loading

    def noisy(*arguments: object, **options: object) -> object:
        os.write(1, b"a library talks\n")
        os.system("echo a C++ library talks")
        return real(*arguments, **options)

    real = loading.load_model
    monkeypatch.setattr(loading, "load_model", noisy)
    assert prune("-o", "out") == 0
    out, err = capfd.readouterr()
    assert out == "out\n"
    assert err.count("library talks") == 2


def test_a_step_writes_exactly_these_files(place: Path) -> None:
    assert prune("-o", "out") == 0
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    modelling = {"configuration.py", "layers.py", "modeling.py"}
    own = {"config.json", "model.safetensors", "provenance.json", "importance.svg"}
    assert {p.name for p in (place / "out").iterdir()} == tokenizer | modelling | own


def test_the_record_says_what_was_done(place: Path) -> None:
    assert prune("-o", "out") == 0
    record = record_of(place / "out")
    assert record["format"] == 1
    assert record["request"]["command"] == "prune-heads"
    assert set(record["request"]["inputs"]) == {"model"}
    assert record["sources"] == {"model": "tiny", "task": "data/task.toml"}
    heads = record["report"]["heads"]
    assert sum(map(len, heads["removed"].values())) == 2
    assert record["report"]["after"]["parameters"] < record["report"]["before"]["parameters"]
    assert record["lineage"] == []
    sizes = {path.name: path.stat().st_size for path in (place / "out").iterdir()}
    del sizes["provenance.json"]
    assert record["files"] == sizes


@pytest.mark.usefixtures("place")
def test_speed_options_do_not_change_the_request(capfd: Printed) -> None:
    assert prune("-o", "out") == 0
    assert prune("-o", "out", "--batch-size", "7", "--device", "cpu") == 0
    assert "up to date" in capfd.readouterr().err


def test_another_request_is_refused_until_forced(place: Path, capfd: Printed) -> None:
    assert prune("-o", "out") == 0
    capfd.readouterr()
    assert prune("-o", "out", remove="0.5") == 4
    out, err = capfd.readouterr()
    assert out == ""
    assert "--force" in err
    assert prune("-o", "out", "--force", remove="0.5") == 0
    assert record_of(place / "out")["request"]["settings"]["remove"] == 0.5


def test_a_damaged_output_is_not_up_to_date(place: Path, capfd: Printed) -> None:
    assert prune("-o", "out") == 0
    (place / "out" / "README.md").write_text("a file of the user's is no damage")
    assert prune("-o", "out") == 0
    assert "up to date" in capfd.readouterr().err
    (place / "out" / "model.safetensors").unlink()
    assert prune("-o", "out") == 4
    assert "out was changed after it was made (model.safetensors)" in capfd.readouterr().err
    assert prune("-o", "out", "--force") == 0
    assert (place / "out" / "model.safetensors").exists()


def test_what_bertslim_did_not_make_is_never_replaced(place: Path, capfd: Printed) -> None:
    (place / "home").mkdir()
    (place / "home" / "letter.txt").write_text("dear")
    assert prune("-o", "home", "--force") == 4
    assert (place / "home" / "letter.txt").read_text() == "dear"
    assert "was not made by bertslim" in capfd.readouterr().err


@pytest.mark.parametrize("output", ["made", "made/inside", "."])
def test_an_input_is_never_touched(place: Path, capfd: Printed, output: str) -> None:
    assert prune("-o", "made") == 0
    before = {p.name: p.read_bytes() for p in (place / "made").iterdir()}
    words = ["prune-heads", "made", "--task", "data/task.toml", "--remove", "0.2"]
    assert main([*words, "-o", output, "--force"]) == 2
    assert "overlap" in capfd.readouterr().err
    assert {p.name: p.read_bytes() for p in (place / "made").iterdir()} == before


def test_an_output_that_appears_meanwhile_is_not_replaced(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bertslim.model import loading

    def interfering(*arguments: object, **options: object) -> object:
        (place / "out").mkdir()
        (place / "out" / "letter.txt").write_text("dear")
        return real(*arguments, **options)

    real = loading.load_model
    monkeypatch.setattr(loading, "load_model", interfering)
    assert prune("-o", "out") == 4
    assert [p.name for p in (place / "out").iterdir()] == ["letter.txt"]
    assert sorted(p.name for p in place.iterdir()) == ["data", "out", "tiny"]


def test_a_dry_run_does_nothing(place: Path, capfd: Printed) -> None:
    before = sorted(place.rglob("*"))
    assert prune("-n") == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "would write" in err
    assert sorted(place.rglob("*")) == before


def test_saved_flags_and_the_flags_that_win(place: Path) -> None:
    (place / "flags.toml").write_text('task = "data/task.toml"\nremove = 0.5\nkeep-at-least = 2\n')
    words = ["prune-heads", "tiny", "--config", "flags.toml", "-o", "out", "--remove", "0.25"]
    assert main(words) == 0
    settings = record_of(place / "out")["request"]["settings"]
    assert (settings["remove"], settings["keep_at_least"]) == (0.25, 2)


def test_a_record_replays_itself_from_anywhere(
    place: Path, capfd: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prune("-o", "out", "--seed", "3") == 0
    shutil.copy(place / "out" / "provenance.json", place / "was.json")
    monkeypatch.chdir(place / "data")
    assert main(["prune-heads", "--config", "../was.json", "-o", "../out"]) == 0
    assert "up to date" in capfd.readouterr().err


def test_a_flag_is_saved_under_its_own_name(place: Path) -> None:
    (place / "flags.toml").write_text('format = "onnx"\n')
    assert main(["export", "tiny", "--config", "flags.toml", "-o", "out"]) == 0
    assert (place / "out" / "model.onnx").exists()


@pytest.mark.parametrize("record", ["{}", "[]", "{", '{"format": "x"}', '{"format": 1}'])
def test_a_broken_record_is_explained(place: Path, capfd: Printed, record: str) -> None:
    (place / "tiny" / "provenance.json").write_text(record)
    for words in (["inspect", "tiny"], ["export", "tiny", "--format", "onnx", "-o", "out"]):
        assert main(words) == 1
        err = capfd.readouterr().err
        assert "provenance.json" in err
        assert "Traceback" not in err
    assert not (place / "out").exists()


def test_a_record_whose_list_of_files_is_none_is_explained(place: Path, capfd: Printed) -> None:
    export = ["export", "tiny", "--format", "onnx", "-o", "out"]
    assert main(export) == 0
    record = place / "out" / "provenance.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"files": ["model.onnx"]}))
    capfd.readouterr()
    assert main(export) == 1
    assert "provenance.json is no provenance record; wrong: files" in capfd.readouterr().err


def test_a_record_without_sizes_is_read(place: Path, capfd: Printed) -> None:
    """As the first ones were."""
    export = ["export", "tiny", "--format", "onnx", "-o", "out"]
    assert main(export) == 0
    file = place / "out" / "provenance.json"
    record = json.loads(file.read_text())
    del record["files"]
    file.write_text(json.dumps(record))
    capfd.readouterr()
    assert main(export) == 0
    assert "up to date" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ("remov = 0.5\n", "remov"),
        ("remove = \n", "not readable"),
        ("remove = 'half'\n", "--remove"),
    ],
)
def test_saved_flags_are_checked(place: Path, capfd: Printed, saved: str, said: str) -> None:
    (place / "flags.toml").write_text(saved)
    words = ["prune-heads", "tiny", "--task", "data/task.toml", "--config", "flags.toml"]
    assert main(words) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["prune-heads", "tiny"], 2, "--task"),
        (["prune-heads", "tiny", "--task", "no.toml", "--remove", "0.5"], 2, "no.toml"),
        (
            ["prune-heads", "tiny", "--task", "data/task.toml", "--remove", "1.5"],
            2,
            "from 0 to 1",
        ),
        (["prune-heads", "tiny", "--task", "data/task.toml", "--remove", "7"], 2, "only 6 of 8"),
        (["prune-heads", "tiny", "--task", "data/task.toml", "--remove", "0"], 2, "none of 8"),
        (["prune-heads", "typo", "--task", "data/task.toml", "--remove", "0.5"], 1, "typo"),
        (["inspect", "data"], 1, "config.json is missing"),
        (["bench", "tiny", "--runtime", "tensorflow"], 2, "tensorflow"),
        (["bench", "tiny", "--length", "65"], 2, "64"),
        ([*EVALUATE, "--device", "cuda"], 6, "CUDA"),
        (
            [*EVALUATE, "--device", "cuda", "--runtime", "openvino"],
            2,
            "runs on the CPU",
        ),
        (["bench", "tiny", "--save", "nowhere/x.json"], 2, "nowhere/x.json"),
        (["inspect", "~nobody-here/x"], 1, "nobody-here"),
        (["inspect", "x" * 300], 1, "cannot be opened"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_failures_have_their_exit_codes(
    place: Path, capfd: Printed, words: list[str], code: int, said: str
) -> None:
    before = sorted(place.rglob("*"))
    assert main(words) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sorted(place.rglob("*")) == before


def test_a_full_disk_is_explained(
    place: Path, capfd: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch
    from safetensors import SafetensorError

    def refuse(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as full:
        full.setattr(safetensors.torch, "save_file", refuse)
        assert prune("-o", "out") == 1
    assert "No space left" in capfd.readouterr().err
    assert sorted(p.name for p in place.iterdir() if p.name[0] != ".") == ["data", "tiny"]
    (stage,) = place.glob(".out.*.partial")
    assert [p.name for p in stage.iterdir()] == ["resume"]
    assert prune("-o", "out") == 0
    assert "going on with" in capfd.readouterr().err
    assert sorted(p.name for p in place.iterdir()) == ["data", "out", "tiny"]


def test_a_v4_checkpoint_with_pruned_heads_goes_through(place: Path, capfd: Printed) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(place / "tiny" / "model.safetensors")
    kept = [row for row in range(32) if not 8 <= row < 16]  # head 1 of layer 0 is gone
    layer = "bert.encoder.layer.0.attention"
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            name = f"{layer}.self.{part}.{kind}"
            weights[name] = weights[name][kept].clone()
    name = f"{layer}.output.dense.weight"
    weights[name] = weights[name][:, kept].clone()
    save_file(weights, place / "tiny" / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((place / "tiny" / "config.json").read_text())
    config["pruned_heads"] = {"0": [1]}
    (place / "tiny" / "config.json").write_text(json.dumps(config))

    assert prune("-o", "out") == 0
    capfd.readouterr()
    assert main(["inspect", "out", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert sum(layer["heads"] for layer in found["layers"]) == 5


def test_pickled_weights_are_converted_once_and_on_demand(place: Path, capfd: Printed) -> None:
    from safetensors.torch import load_file

    weights = place / "tiny" / "model.safetensors"
    torch.save(load_file(weights), place / "tiny" / "pytorch_model.bin")
    weights.unlink()
    assert main(["inspect", "tiny"]) == 1
    assert "--convert-pickle" in capfd.readouterr().err
    words = ["export", "tiny", "--format", "transformers", "--convert-pickle", "-o", "out"]
    assert main(words) == 0
    assert main(["inspect", "out"]) == 0


def saved(content: object) -> bytes:
    """Return what torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps(print, protocol=2), "holds more than tensors"),
        (saved({"state_dict": {}}), "something else than one tensor per name"),
        (b"", "damaged or cut short"),
    ],
)
def test_a_pickle_that_holds_something_else_is_refused(
    place: Path, capfd: Printed, content: bytes, said: str
) -> None:
    (place / "tiny" / "model.safetensors").unlink()
    (place / "tiny" / "pytorch_model.bin").write_bytes(content)
    words = ["export", "tiny", "--format", "transformers", "--convert-pickle", "-o", "out"]
    assert main(words) == 1
    assert said in capfd.readouterr().err
    assert not (place / "out").exists()


def test_export_writes_a_twin_with_the_same_outputs(place: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    assert prune("-o", "small") == 0
    assert main(["export", "small", "--format", "transformers", "-o", "twin"]) == 0
    config = json.loads((place / "twin" / "config.json").read_text())
    assert config["model_type"] == "bert"
    ids = torch.randint(5, 30, (2, 9))
    small, twin = (AutoModelForSequenceClassification.from_pretrained(n) for n in ("small", "twin"))
    torch.testing.assert_close(twin(ids).logits, small(ids).logits, atol=1e-5, rtol=0)


def test_export_writes_a_graph_that_runs(place: Path) -> None:
    import onnxruntime

    assert main(["export", "tiny", "--format", "onnx", "-o", "out"]) == 0
    session = onnxruntime.InferenceSession(place / "out" / "model.onnx")
    assert {i.name for i in session.get_inputs()} >= {"input_ids", "attention_mask"}


@pytest.mark.usefixtures("place")
def test_evaluate_agrees_on_every_runtime(capfd: Printed) -> None:
    values = []
    for runtime in ("torch", "onnxruntime", "openvino"):
        words = ["evaluate", "tiny", "--task", "data/task.toml", "--runtime", runtime, "--json"]
        assert main(words) == 0
        values.append(json.loads(capfd.readouterr().out)["value"])
    assert len(set(values)) == 1


def test_finetune_learns_and_writes_a_stock_checkpoint(place: Path, capfd: Printed) -> None:
    write_sentence_task(place / "data", train=400)
    words = ["finetune", "tiny", "--task", "data/task.toml", "--epochs", "8", "--batch-size", "8"]
    assert main([*words, "--learning-rate", "1e-3", "-o", "taught"]) == 0
    config = json.loads((place / "taught" / "config.json").read_text())
    assert (config["model_type"], config["id2label"]) == ("bert", {"0": "0", "1": "1"})
    report = record_of(place / "taught")["report"]
    assert report["validation"]["value"] > 0.9
    assert len(report["training"]["metrics"]) == 8
    capfd.readouterr()
    assert main(["evaluate", "taught", "--task", "data/task.toml", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["value"] == report["validation"]["value"]


def test_a_task_of_another_kind_is_refused(place: Path, capfd: Printed) -> None:
    save_tiny_bert(place / "tagger", "token-classification")
    assert main(["evaluate", "tagger", "--task", "data/task.toml"]) == 1
    said = "is text-classification, but the model does not fit: its head is for token"
    assert said in capfd.readouterr().err


def test_labels_that_the_model_never_saw_are_named(place: Path, capfd: Printed) -> None:
    task = write_sentence_task(place / "new")
    with (task.parent / "dev.tsv").open("a") as file:
        file.write("a lovely end .\tmaybe\n")
    words = ["finetune", "tiny", "--task", str(task), "--epochs", "1", "-o", "out"]
    assert main(words) == 1
    err = capfd.readouterr().err
    assert "dev.tsv:50" in err
    assert "maybe" in err
    assert not (place / "out").exists()


def test_processes_of_torchrun_cannot_share_a_pipe(
    capfd: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("sys.stdin", io.StringIO("somewhere\n"))
    assert main(["inspect", "-"]) == 2
    assert "name the path" in capfd.readouterr().err
