"""What `prune-heads` writes: smaller models of every kind, curves and pictures; what it refuses."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from bertslim.cli import main
from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.store.checkpoint import open_checkpoint
from bertslim.store.journal import JOURNAL
from tests.commands.shell import start
from tests.tiny import record_of, save_tiny_bert
from tests.train.tasks import conll_task, lines_task, squad_task, write_task

Printed = pytest.CaptureFixture[str]
PICTURES = {"importance.svg"}
CURVES = {"curve.json", "curve.svg"}


def prune(*more: str, model: str = "tiny", task: str = "data/task.toml") -> int:
    return main(["prune-heads", model, "--task", task, *more])


def opened(directory: Path | str) -> SlimBertPreTrainedModel:
    return load_model(open_checkpoint(Path(directory)))


def heads(directory: Path | str) -> list[int]:
    return [width.heads for width in layer_widths(opened(directory).config)]


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def logits(model: SlimBertPreTrainedModel) -> torch.Tensor:
    ids = torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(ids).logits


def test_a_curve_alone_removes_nothing(place: Path, capfd: Printed) -> None:
    assert prune("--curve", "--keep-at-least", "0") == 0
    out, err = capfd.readouterr()
    directory = Path(out.strip())
    assert directory == place / "tiny-heads-curve"
    assert "nothing was removed" in err
    assert "8 of 8 heads silenced" in err
    assert files(directory) >= PICTURES | CURVES | {"config.json", "model.safetensors"}
    assert torch.equal(logits(opened(directory)), logits(opened("tiny")))
    report = record_of(directory)["report"]
    assert report["before"] == report["after"]
    assert (report["heads"]["removed"], report["heads"]["order"]) == ({}, [])
    curve = json.loads((directory / "curve.json").read_text())
    assert curve == report["curve"]
    assert [point["removed"] for point in curve["points"]] == list(range(9))
    assert curve["whole"] == report["before"]["score"]


def test_a_curve_beside_the_pruned_model_goes_through_it(place: Path) -> None:
    assert prune("--curve", "--remove", "0.5", "-o", "out") == 0
    assert heads("out") != [4, 4]
    assert files(place / "out") >= PICTURES | CURVES
    report = record_of(place / "out")["report"]
    curve = {point["removed"]: point for point in report["curve"]["points"]}
    assert curve[4]["iterative"] == report["after"]["score"]["value"]
    assert "4 removed" in (place / "out" / "curve.svg").read_text()
    assert "4 removed" in (place / "out" / "importance.svg").read_text()


def test_the_drop_decides_on_held_out_training_rows(place: Path) -> None:
    assert prune("--max-drop", "0.05", "-o", "out") == 0
    report = record_of(place / "out")["report"]["heads"]
    held = report["held"]
    removed = len(report["order"])
    assert (held["max_drop"], held["rows"]) == (0.05, 24)
    assert held["before"] - held["after"] <= 0.05
    assert held["tried"][str(removed)] == held["after"]
    assert sum(heads("out")) == 8 - removed
    assert report["scored_examples"] == 72
    assert not files(place / "out") & CURVES


def test_a_drop_that_no_head_satisfies_writes_nothing(place: Path, capfd: Printed) -> None:
    scores(place)
    save_tiny_bert(place / "scorer", "text-regression", seed=1)
    before = sorted(place.rglob("*"))
    code = prune("--max-drop", "0", model="scorer", task="small.toml")
    out, err = capfd.readouterr()
    assert (code, out) == (3, ""), err
    assert "already without the least important head" in err
    assert "raise --max-drop" in err
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "give --remove or --max-drop, or --curve"),
        (["--remove", "0.4", "--max-drop", "0.01"], 2, "--remove and --max-drop both"),
        (["--remove", "-0.4"], 2, "--remove"),
        (["--remove", "2.5"], 2, "2.5 is neither a fraction"),
        (["--remove", "nan"], 2, "nan is neither a fraction"),
        (["--remove", "some"], 2, "'some' is neither a fraction nor a number"),
        (["--remove", "9"], 2, "the model has 8 heads"),
        (["--remove", "1.0", "--keep-at-least", "0"], 2, "takes all 8 heads"),
        (["--remove", "1.0"], 2, "at most 6 can go"),
        (["--remove", "0.9"], 2, "only 6 of 8 heads can go"),
        (["--max-drop", "0.1", "--keep-at-least", "4"], 2, "none of the model's 8 heads can go"),
        (["--max-drop", "-0.1"], 2, "--max-drop"),
        (["--remove", "1", "--examples", "1"], 1, "are labelled"),
        (["--remove", "1", "--order", "twice"], 2, "--order"),
    ],
)
def test_what_is_refused_leaves_nothing(
    place: Path, capfd: Printed, words: list[str], code: int, said: str
) -> None:
    before = sorted(place.rglob("*"))
    assert prune(*words) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--remove", "2"], "tiny-2heads"),
        (["--remove", "0.25"], "tiny-heads25"),
        (["--max-drop", "0.9"], "tiny-heads-drop0.9"),
    ],
)
def test_the_default_output_says_what_went(place: Path, words: list[str], name: str) -> None:
    assert prune(*words) == 0
    assert (place / name / "provenance.json").exists()


@pytest.mark.parametrize(("saved", "left"), [("1", 7), ("0.75", 2)])
def test_saved_amounts_stay_what_they_were(place: Path, saved: str, left: int) -> None:
    (place / "flags.toml").write_text(f'task = "data/task.toml"\nremove = {saved}\n')
    assert main(["prune-heads", "tiny", "--config", "flags.toml", "-o", "out"]) == 0
    assert main(["prune-heads", "--config", "out/provenance.json", "-o", "again"]) == 0
    assert sum(heads("out")) == sum(heads("again")) == left
    assert record_of(place / "out")["key"] == record_of(place / "again")["key"]


def interrupted_curve(place: Path) -> Path:
    """Interrupt a curve after its first points; return the folder that it left."""
    words = ["prune-heads", "tiny", "--task", "data/task.toml", "--curve", "-o", "out"]
    process = start(words, place)
    deadline = time.monotonic() + 60
    while not any(b"reported" in p.read_bytes() for p in place.glob(f".out.*/resume/{JOURNAL}")):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    return next(place.glob(".out.*.partial"))


def test_an_interrupted_curve_goes_on(place: Path, capfd: Printed) -> None:
    left = interrupted_curve(place)
    known = len((left / "resume" / JOURNAL).read_text().splitlines())
    assert prune("--curve", "-o", "out") == 0
    assert f"going on with {known} results" in capfd.readouterr().err
    assert not left.exists()
    assert prune("--curve", "-o", "afresh") == 0
    curves = [(place / name / "curve.json").read_bytes() for name in ("out", "afresh")]
    assert curves[0] == curves[1]


def test_an_interrupted_curve_can_be_forgotten(place: Path, capfd: Printed) -> None:
    interrupted_curve(place)
    assert prune("--curve", "-o", "out", "--restart") == 0
    assert "going on" not in capfd.readouterr().err


def test_the_same_heads_go_whatever_the_batches(place: Path) -> None:
    for size in ("5", "64"):
        assert prune("--remove", "0.5", "--batch-size", size, "-o", f"out{size}") == 0
    orders = [record_of(place / f"out{n}")["report"]["heads"]["order"] for n in (5, 64)]
    assert orders[0] == orders[1]


def as_v4(directory: Path) -> None:
    """Cut head 1 of layer 0 out of a stock checkpoint, as transformers 4 wrote it."""
    from safetensors.torch import load_file, save_file

    weights = load_file(directory / "model.safetensors")
    kept = [row for row in range(32) if not 8 <= row < 16]
    layer = "bert.encoder.layer.0.attention"
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            name = f"{layer}.self.{part}.{kind}"
            weights[name] = weights[name][kept].clone()
    name = f"{layer}.output.dense.weight"
    weights[name] = weights[name][:, kept].clone()
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "pruned_heads": {"0": [1]}}))


@pytest.mark.parametrize("v4", [False, True])
def test_pruned_twice_and_exported_it_computes_the_same(place: Path, v4: bool) -> None:
    if v4:
        as_v4(place / "tiny")
    expected = opened("tiny")
    for source, target, count in (("tiny", "once", 3), ("once", "twice", 3 if v4 else 4)):
        more = ("--remove", str(count), "--keep-at-least", "0", "-o", target)
        assert prune(*more, model=source) == 0
        removed = record_of(place / target)["report"]["heads"]["removed"]
        expected = remove_heads(expected, {int(layer): found for layer, found in removed.items()})
    # one of two attentions is gone as a whole
    assert sorted(heads("twice")) == [0, 1]
    assert torch.equal(logits(opened("twice")), logits(expected))
    assert main(["export", "twice", "--format", "onnx", "-o", "onnx"]) == 0
    session = onnxruntime.InferenceSession(place / "onnx" / "model.onnx")
    ids = np.random.default_rng(0).integers(5, 30, (3, 9))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feed = {node.name: feed.get(node.name, np.zeros_like(ids)) for node in session.get_inputs()}
    with torch.no_grad():
        wanted = expected(torch.from_numpy(ids)).logits
    np.testing.assert_allclose(session.run(["logits"], feed)[0], wanted, atol=1e-5)


def pairs(folder: Path) -> None:
    rows = "".join(
        f"{a} film\t{b} book\t{'same' if a == b else 'other'}\n"
        for a in ("good", "bad", "dull")
        for b in ("good", "bad", "ugly")
    )
    document = (
        'kind = "text-classification"\nmax_length = 32\n'
        '[data]\ntrain = "train.tsv"\nvalidation = "train.tsv"\n'
        '[columns]\ntext = ["one", "two"]\n'
    )
    write_task(folder, document, {"train.tsv": f"one\ttwo\tlabel\n{rows}"})


def scores(folder: Path) -> None:
    texts = ("bad", "dull", "a", "good", "very good", "a lovely", "it was", "and the", "who")
    rows = "".join(f"{text} film\t{n}.5\n" for n, text in enumerate(texts * 5))
    document = (
        'kind = "text-regression"\nmax_length = 32\n'
        '[data]\ntrain = "train.tsv"\nvalidation = "train.tsv"\n'
    )
    write_task(folder, document, {"train.tsv": f"text\tlabel\n{rows}"})


def words(folder: Path) -> None:
    lines_task(
        folder, "a lovely film . it was good\nthe plot and the end\n" * 3, "max_length = 8\n"
    )
    task = folder / "small.toml"
    task.write_text(task.read_text() + 'validation = "pool.txt"\n')


def tags(folder: Path) -> None:
    conll_task(folder)


def questions(folder: Path) -> None:
    squad_task(folder)


KINDS = {
    "text-classification": (pairs, {}),
    "text-regression": (scores, {}),
    "token-classification": (tags, {"num_labels": 4}),
    "question-answering": (questions, {}),
    "masked-lm": (words, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    write, changes = KINDS[kind]
    write(tmp_path)
    save_tiny_bert(tmp_path / "m", kind, **changes)
    more = ("--score", "token", "--curve", "--remove", "3", "-o", "out")
    assert prune(*more, model="m", task="small.toml") == 0
    assert sum(heads("out")) == 5
    report = record_of(tmp_path / "out")["report"]
    assert len(report["curve"]["points"]) == 7
    # heads that are silenced, and heads that are gone: equal to rounding
    silenced, gone = report["curve"]["points"][3]["iterative"], report["after"]["score"]["value"]
    assert silenced == pytest.approx(gone, abs=1e-6)


def test_a_task_for_another_head_is_refused(place: Path, capfd: Printed) -> None:
    words(place)
    assert prune("--remove", "1", task="small.toml") == 1
    assert "masked-lm" in capfd.readouterr().err
