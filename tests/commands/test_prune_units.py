"""`prune-heads` under a budget: what it writes, what it says, what it refuses."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bertslim.cli import main
from bertslim.model.configuration import LayerWidths, layer_widths
from bertslim.model.loading import load_model
from bertslim.model.shapes import encoder_flops
from bertslim.runtime import widths
from bertslim.runtime.engine import Batch, Engine
from bertslim.store.checkpoint import open_checkpoint
from tests.commands.test_prune_heads import KINDS, Printed, prune
from tests.tiny import record_of, save_tiny_bert

FLOPS = ("--units", "heads,ffn", "--length", "16")


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each engine once, and take a clock that no other process can disturb."""

    def milliseconds(engines: Mapping[object, Engine], batch: Batch) -> dict[object, float]:
        for engine in engines.values():
            engine.run(batch)
        return {name: 1.0 + getattr(name, "width", 0) for name in engines}

    monkeypatch.setattr(widths, "milliseconds", milliseconds)


def shapes(directory: str) -> tuple[LayerWidths, ...]:
    return layer_widths(load_model(open_checkpoint(Path(directory))).config)


def share_left(directory: str) -> float:
    configs = [load_model(open_checkpoint(Path(d))).config for d in (directory, "tiny")]
    pruned, whole = (encoder_flops(config, 16) for config in configs)
    return pruned / whole


@pytest.mark.parametrize("method", ["gradient", "fisher", "surgeon"])
def test_half_of_the_flops_go(place: Path, capfd: Printed, method: str) -> None:
    assert prune(*FLOPS, "--remove", "0.5", "--method", method) == 0
    out, err = capfd.readouterr()
    assert Path(out.strip()) == place / "tiny-units50"
    assert "of the FLOPs removed" in err
    assert share_left("tiny-units50") <= 0.5
    report = record_of(place / "tiny-units50")["report"]
    found = shapes("tiny-units50")
    assert report["units"]["ffn"] == [layer.intermediate_size for layer in found]
    assert report["units"]["heads"] == [layer.heads for layer in found]
    assert report["units"]["after"] == report["cost"]["after"]
    assert report["units"]["before"] == report["cost"]["before"]
    assert len(report["units"]["residuals"]) == 4


def test_the_default_is_the_surgeon_with_projections(place: Path) -> None:
    assert prune(*FLOPS, "--remove", "0.5", "-o", "out") == 0
    spelled = ("--method", "surgeon", "--budget", "flops", "--tune", "projections")
    assert prune(*FLOPS, *spelled, "--remove", "0.5", "-o", "again") == 0
    assert record_of(place / "out")["key"] == record_of(place / "again")["key"]


@pytest.mark.usefixtures("place")
def test_widths_are_multiples() -> None:
    assert prune(*FLOPS, "--remove", "0.5", "--multiple", "32", "-o", "out") == 0
    assert {layer.intermediate_size for layer in shapes("out")} <= {32, 64}


def test_heads_alone_by_fisher(place: Path) -> None:
    assert prune("--method", "fisher", "--remove", "3", "-o", "out") == 0
    assert sum(layer.heads for layer in shapes("out")) == 5
    assert {layer.intermediate_size for layer in shapes("out")} == {64}
    assert record_of(place / "out")["report"]["cost"] == {"before": 8, "after": 5}


@pytest.mark.usefixtures("place")
def test_heads_alone_for_flops() -> None:
    more = ("--budget", "flops", "--length", "16", "--remove", "0.2")
    assert prune("--method", "surgeon", *more, "-o", "out") == 0
    assert share_left("out") <= 0.8
    assert {layer.intermediate_size for layer in shapes("out")} == {64}


def test_heads_off_the_list_can_be_tuned(place: Path) -> None:
    for form, parts in (("none", 0), ("scales", 4), ("projections", 4)):
        assert prune("--remove", "4", "--tune", form, "-o", form) == 0
        assert len(record_of(place / form)["report"]["residuals"]) == parts
    removed = [record_of(place / form)["report"]["heads"]["removed"] for form in ("none", "scales")]
    assert removed[0] == removed[1]


def test_the_drop_decides(place: Path) -> None:
    assert prune(*FLOPS, "--max-drop", "0.1", "-o", "out") == 0
    held = record_of(place / "out")["report"]["units"]["held"]
    assert held["before"] - held["after"] <= 0.1
    assert held["rows"] == 24


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("target", ["onnxruntime", "torch"])
def test_milliseconds_are_measured(place: Path, capfd: Printed, target: str) -> None:
    more = ("--budget", "latency", "--target", target, "--batch", "2", "--multiple", "16")
    assert prune(*FLOPS, *more, "--remove", "0.3", "-o", "out") == 0
    assert f"measuring what widths take on {target}" in capfd.readouterr().err
    report = record_of(place / "out")["report"]
    assert report["units"]["unit"] == "ms"
    assert report["units"]["after"] <= 0.7 * report["units"]["before"]
    assert all(time > 0 for time in report["cost"].values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--units", "heads,ffn"], ["nothing says how much goes"]),
        ([*FLOPS, "--remove", "3"], ["--remove 3 is a number of heads"]),
        ([*FLOPS, "--remove", "0.5", "--budget", "heads"], ["does not count FFN units"]),
        ([*FLOPS, "--remove", "0.5", "--curve"], ["--curve is for heads alone"]),
        ([*FLOPS, "--remove", "0.5", "--budget", "latency"], ["give --target"]),
        ([*FLOPS, "--remove", "0.5", "--target", "torch"], ["is for --budget latency"]),
        (["--curve", "--tune", "scales"], ["--tune scales is for what is left"]),
        (
            ["--method", "fisher", "--remove", "1", "--order", "once", "--score", "token"],
            ["--order once is for heads", "--score token is for heads"],
        ),
        (
            ["--remove", "1", "--multiple", "8", "--length", "16", "--batch", "1"],
            [
                "--multiple 8 is for --units heads,ffn; leave it out",
                "--length 16 is for --budget flops or latency; leave it out",
                "--batch 1 is for --budget latency; leave it out",
            ],
        ),
        ([*FLOPS, "--remove", "0.5", "--batch", "2"], ["--batch 2 is for --budget latency"]),
        (
            ["--method", "fisher", "--remove", "1", "--multiple", "4"],
            ["do not go together: --multiple 4 is for --units heads,ffn"],
        ),
        ([*FLOPS, "--remove", "0.5", "--order", "iterative"], ["--order iterative is for heads"]),
        (["--curve", "--order", "once"], ["--order once is for --remove or --max-drop"]),
        ([*FLOPS, "--remove", "0.99"], ["1.0% of the FLOPs are not enough"]),
        ([*FLOPS, "--remove", "0.0"], ["removes nothing"]),
        (
            ["--budget", "flops", "--length", "16", "--keep-at-least", "4", "--max-drop", "0.1"],
            ["of the FLOPs are not enough"],
        ),
        (
            ["--units", "heads,ffn", "--remove", "0.5"],
            ["--length 128: the model reads at most 64 tokens"],
        ),
        (["--method", "fisher", "--remove", "9"], ["the model has 8 heads"]),
    ],
)
def test_what_is_refused_leaves_nothing(
    place: Path, capfd: Printed, words: list[str], said: list[str]
) -> None:
    before = sorted(place.rglob("*"))
    assert prune(*words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert all(text in err for text in said), err
    assert "Traceback" not in err
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("saved", "code"),
    [("", 0), ("multiple = 8\n", 0), ("multiple = 16\n", 2), ("batch = 2\n", 2)],
)
def test_saved_flags_play_a_part_too(place: Path, capfd: Printed, saved: str, code: int) -> None:
    (place / "flags.toml").write_text(f"remove = 1\n{saved}")
    assert prune("--config", "flags.toml", "-o", "out") == code
    assert (f"--{saved.partition(' ')[0]}" in capfd.readouterr().err) == (code == 2)


def test_a_record_names_what_plays_no_part_and_replays(place: Path, capfd: Printed) -> None:
    """It holds every option, those too that were left as they are by default."""
    assert prune("--remove", "1", "-o", "out") == 0
    assert record_of(place / "out")["options"]["multiple"] == 8
    capfd.readouterr()
    assert main(["prune-heads", "--config", "out/provenance.json", "-o", "out"]) == 0
    assert "up to date" in capfd.readouterr().err


@pytest.mark.usefixtures("place")
def test_what_was_pruned_can_be_pruned_again() -> None:
    assert prune(*FLOPS, "--remove", "0.3", "-o", "once") == 0
    assert prune(*FLOPS, "--remove", "0.3", "-o", "twice", model="once") == 0
    assert share_left("twice") <= 0.7 * share_left("once")
    assert main(["export", "twice", "--format", "onnx", "-o", "onnx"]) == 0


@pytest.mark.parametrize("kind", ["text-regression", "token-classification", "masked-lm"])
def test_other_kinds_of_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    write, changes = KINDS[kind]
    write(tmp_path)
    save_tiny_bert(tmp_path / "tiny", kind, **changes)
    more = ("--tune", "none") if kind == "token-classification" else ()
    assert prune(*FLOPS, "--remove", "0.5", *more, "-o", "out", task="small.toml") == 0
    assert share_left("out") <= 0.5
