"""`prune-l0` from the command line, on a model that takes seconds."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from bertslim.cli import main
from bertslim.train.batching import Batch
from tests.tiny import record_of, save_tiny_bert, write_sentence_task

Printed = pytest.CaptureFixture[str]
QUICK = ["--epochs", "2", "--batch-size", "16", "--recover", "1", "--device", "cpu", "-q"]
HALF = ["--target-sparsity", "0.5", "--multiple", "4"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_tiny_bert(tmp_path / "tiny")
    write_sentence_task(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prune(*words: str) -> int:
    return main(["prune-l0", "tiny", "--task", "data/task.toml", *QUICK, *words])


def test_the_result_is_smaller_and_says_what_was_done(place: Path, capfd: Printed) -> None:
    assert prune(*HALF, "--gates", "heads, ffn,hidden", "--gate-learning-rate", "0.3") == 0
    assert capfd.readouterr().out == f"{place}/tiny-l0-50\n"
    record = record_of(place / "tiny-l0-50")
    report, settings = record["report"], record["request"]["settings"]
    assert report["l0"]["gates"] == {"heads": [4, 4], "ffn": [64, 64], "hidden": [32]}
    assert report["l0"]["sparsity"]["parameters"] >= 0.5
    assert report["before"]["parameters"] > report["cut"]["parameters"]
    assert report["after"]["parameters"] == report["cut"]["parameters"]
    assert len(report["l0"]["training"]["losses"]) == 2
    assert len(report["recovery"]["metrics"]) == 1
    assert (settings["target_sparsity"], settings["of"], settings["recover"]) == (
        0.5,
        "parameters",
        1,
    )
    assert "penalty" not in settings
    assert main(["inspect", "tiny-l0-50", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["full"] == {"heads": 4, "units": 64, "hidden_size": 32}
    assert [found["hidden_size"]] == report["l0"]["realised"]["hidden"]
    assert [layer["heads"] for layer in found["layers"]] == report["l0"]["realised"]["heads"]


def test_inspect_draws_what_went(place: Path, capfd: Printed) -> None:
    # 24 of 32 channels are a quarter less, 16 nearly half: the biases stay
    words = ["--gates", "hidden", "--target-sparsity", "0.4", "--multiple", "8", "--recover", "0"]
    assert prune(*words, "-o", "narrow") == 0
    capfd.readouterr()
    assert main(["inspect", "narrow"]) == 0
    drawn = capfd.readouterr().out
    assert "hidden size 16 of 32" in drawn
    assert "■■■■  4/4" in drawn
    assert "64/64" in drawn
    assert main(["export", "narrow", "--format", "onnx", "-o", "graph"]) == 0
    assert main(["export", "narrow", "--format", "transformers", "-o", "twin"]) == 1
    assert "4 heads of 8 are wider than the hidden size of 16" in capfd.readouterr().err
    assert (place / "graph" / "model.onnx").is_file()


def test_recovery_may_be_left_to_the_next_step(place: Path) -> None:
    assert prune("--penalty", "0.02", "--recover", "0") == 0
    report = record_of(place / "tiny-l0-penalty0.02")["report"]
    assert "recovery" not in report
    assert report["after"] == report["cut"]


def test_a_record_replays_itself(place: Path, capfd: Printed) -> None:
    assert prune(*HALF, "-o", "out") == 0
    saved = ["prune-l0", "--config", str(place / "out" / "provenance.json"), "-o", "out"]
    assert main(saved) == 0
    assert "up to date" in capfd.readouterr().err


def test_every_part_of_a_batch_draws_gates(place: Path) -> None:
    """So their number is part of the request; one part is what it always was."""
    assert prune(*HALF, "--recover", "0", "-o", "whole") == 0
    assert prune(*HALF, "--recover", "0", "--accumulation", "2", "-o", "parts") == 0
    assert prune(*HALF, "--recover", "0", "--accumulation", "2", "-o", "whole") == 4
    requests = [record_of(place / name)["request"]["settings"] for name in ("whole", "parts")]
    assert requests[1] == {**requests[0], "accumulation": 2}
    gates = [record_of(place / n)["report"]["l0"]["expected"] for n in ("whole", "parts")]
    assert gates[0] != gates[1]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process a signal in the middle of a step, counted over both phases."""
    from bertslim.train import feeding

    real, steps = feeding.collate, iter(range(1, 1000))

    def collate(rows: object, padding: int) -> Batch:
        if next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        batch: dict[str, np.ndarray] = real(rows, padding)
        return batch

    monkeypatch.setattr(feeding, "collate", collate)


@pytest.mark.parametrize(("step", "phases"), [(3, {"gates"}), (14, {"gates", "recovery"})])
def test_both_phases_go_on_where_they_were(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: int, phases: set[str]
) -> None:
    assert prune(*HALF, "-o", "whole") == 0
    total = record_of(place / "whole")["report"]["l0"]["training"]["steps"]
    assert 3 < total < 14 <= total + record_of(place / "whole")["report"]["recovery"]["steps"]
    with monkeypatch.context() as patched:
        interrupt_at(patched, step)
        assert prune(*HALF, "-o", "resumed") == 130
    (resume,) = place.glob(".resumed.*.partial/resume")
    assert {folder.name for folder in resume.iterdir()} == phases
    assert prune(*HALF, "-o", "resumed") == 0
    weights = [(place / name / "model.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert weights[0] == weights[1]


def test_another_teacher_is_part_of_the_request(place: Path, capfd: Printed) -> None:
    save_tiny_bert(place / "other", seed=5)
    assert prune(*HALF, "--teacher", "other", "-o", "out") == 0
    assert set(record_of(place / "out")["request"]["inputs"]) == {"model", "teacher"}
    assert prune(*HALF, "-o", "out") == 4
    save_tiny_bert(place / "tagger", "token-classification")
    capfd.readouterr()
    assert prune(*HALF, "--teacher", "tagger", "-o", "third") == 1
    assert "its head is for token-classification" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--penalty or --target-sparsity is needed, and not both"),
        (["--penalty", "1", *HALF], 2, "--penalty or --target-sparsity is needed, and not both"),
        (["--target-sparsity", "1"], 2, "--target-sparsity must lie between 0 and 1"),
        (["--penalty", "0"], 2, "--penalty must be above 0"),
        ([*HALF, "--gates", "heads,layers"], 2, "heads, ffn, hidden, not layers"),
        ([*HALF, "--gates", ","], 2, "not nothing"),
        ([*HALF, "--recover", "0", "--teacher", "tiny"], 2, "--teacher teaches in --recover"),
        (["--penalty", "1", "--of", "flops"], 2, "--of is for --target-sparsity; leave it out"),
        ([*HALF, "--gates", "heads"], 2, "--multiple 4 is for --gates ffn or hidden"),
        (
            [*HALF, "--recover", "0", "--learning-rate", "1e-3", "--freeze-embeddings"],
            2,
            "--freeze-embeddings is about weights, and only gates learn",
        ),
        (["--target-sparsity", "0.9", "--gates", "heads"], 2, "all heads together are only"),
        ([*HALF, "--teacher", "typo"], 1, "typo"),
    ],
)
def test_bad_wishes_are_explained(
    place: Path, capfd: Printed, words: list[str], code: int, said: str
) -> None:
    before = sorted(place.iterdir())
    assert prune(*words) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sorted(place.iterdir()) == before


@pytest.mark.usefixtures("place")
def test_gates_that_all_close_are_explained(capfd: Printed) -> None:
    assert prune("--penalty", "1e6", "--gate-learning-rate", "9", "-o", "out") == 1
    out, err = capfd.readouterr()
    assert (out, Path("out").exists()) == ("", False)
    assert "no head and no FFN unit would be left in the whole model" in err
    assert "lower --penalty" in err


def test_a_masked_language_model_has_no_hidden_gates(place: Path, capfd: Printed) -> None:
    save_tiny_bert(place / "tiny", "masked-lm")
    text = "a the film was good\nit is very bad\nthe end is near\n" * 20
    for name in ("pool.txt", "dev.txt"):
        (place / "data" / name).write_text(text)
    (place / "data" / "task.toml").write_text(
        'kind = "masked-lm"\nmax_length = 8\n[data]\ntrain = "pool.txt"\nvalidation = "dev.txt"\n'
    )
    assert prune(*HALF, "--gates", "hidden") == 2
    assert "decoder is its word table" in capfd.readouterr().err
    assert prune(*HALF, "-o", "out") == 0
