import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from bertslim.errors import TrainingError
from bertslim.train import interruption
from bertslim.train.batching import Batch
from bertslim.train.feeding import Prepare
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.resume import STATE_FILE, ResumeFolder
from bertslim.train.settings import TrainReport
from tests.train.training import assert_equal, classifier, sentences, settings, weights

NEVER = 1e9
EIGHT_STEPS = settings(dropout=0.2, accumulation=2)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _signals_end_no_more_than_the_test() -> Iterator[None]:
    """One that training lets through is a failure; by default it would be the end of the suite."""

    def fail(number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"{signal.strsignal(number)} was not caught")

    before = [signal.signal(number, fail) for number in SIGNALS]
    yield
    left = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    assert left == [fail, fail], "the handlers were not put back"


@dataclass(frozen=True)
class Value:
    value: float


def interrupted_at(step: int, number: int = signal.SIGINT) -> Prepare:
    """Send this process a signal in the middle of a step."""
    steps = iter(range(1, 100))

    def prepare(batch: Batch, _random: np.random.Generator) -> Batch:
        if next(steps) == step:
            signal.raise_signal(number)
        return batch

    return prepare


def evaluate(model: PreTrainedModel) -> Value:
    """Any number that depends on the weights."""
    return Value(float(model.classifier.weight.detach().sum()))


def train(
    folder: ResumeFolder | None, prepare: Prepare | None = None
) -> tuple[PreTrainedModel, TrainReport]:
    return fit(
        classifier(),
        sentences(32),
        labels_objective,
        EIGHT_STEPS,
        evaluate=evaluate,
        prepare=prepare,
        resume=folder,
    )


def saved_step(folder: ResumeFolder) -> int:
    with safe_open(folder.path / STATE_FILE, framework="pt") as state:
        return int(json.loads(state.metadata()["progress"])["step"])


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("step", [3, 4, 5])
def test_resumed_run_equals_uninterrupted(tmp_path: Path, step: int, number: int) -> None:
    model, report = train(None)
    assert report.steps == 8
    folder = ResumeFolder(tmp_path / "state", NEVER)
    with pytest.raises(KeyboardInterrupt):
        train(folder, interrupted_at(step, number))
    assert [path.name for path in folder.path.iterdir()] == [STATE_FILE]
    assert saved_step(folder) == step
    resumed, resumed_report = train(folder)
    assert_equal(weights(resumed), weights(model))
    assert resumed_report.losses == report.losses
    assert resumed_report.metrics == report.metrics
    assert resumed_report.best_epoch == report.best_epoch
    assert (resumed_report.steps, resumed_report.tokens) == (report.steps, report.tokens)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    folder = ResumeFolder(tmp_path, NEVER)
    model, report = train(folder)
    again, again_report = train(folder, interrupted_at(1))
    assert_equal(weights(again), weights(model))
    assert again_report == report


def test_the_state_is_saved_every_so_often(tmp_path: Path) -> None:
    seen: list[int] = []
    folder = ResumeFolder(tmp_path, 0.0)

    def look(batch: Batch, _random: np.random.Generator) -> Batch:
        seen.append(saved_step(folder) if (tmp_path / STATE_FILE).exists() else 0)
        return batch

    train(folder, look)
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(None, interrupted_at(2))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_ctrl_c_stops_at_once_and_an_echo_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([10.0, 10.1, 15.0, 15.0])
    monkeypatch.setattr(interruption.time, "monotonic", lambda: next(clock))
    with interruption.postponed_interruption() as request:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert request.made
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def damage_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def damage_cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage_other_progress(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"epoch\\"', b'\\"epoxy\\"'))


def damage_other_names(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"student.classifier", b"student.klassifier"))


@pytest.mark.parametrize(
    "damage", [damage_nothing_left, damage_cut_short, damage_other_progress, damage_other_names]
)
def test_a_damaged_state_is_explained(tmp_path: Path, damage: object) -> None:
    folder = ResumeFolder(tmp_path, NEVER)
    with pytest.raises(KeyboardInterrupt):
        train(folder, interrupted_at(2))
    before = (tmp_path / STATE_FILE).read_bytes()
    assert callable(damage)
    damage(tmp_path / STATE_FILE)
    assert (tmp_path / STATE_FILE).read_bytes() != before
    with pytest.raises(TrainingError, match="cannot be read") as error:
        train(folder)
    assert "--restart" in error.value.hint


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_explained_and_leaves_the_state_before(tmp_path: Path) -> None:
    folder = ResumeFolder(tmp_path, NEVER)
    with pytest.raises(KeyboardInterrupt):
        train(folder, interrupted_at(3))
    before = (tmp_path / STATE_FILE).read_bytes()
    with largest_file(50_000), pytest.raises(TrainingError, match="could not be saved") as error:
        train(folder)
    assert "make room" in error.value.hint
    assert {path.name for path in tmp_path.iterdir()} == {STATE_FILE}
    assert (tmp_path / STATE_FILE).read_bytes() == before
    resumed, _ = train(folder)
    assert_equal(weights(resumed), weights(train(None)[0]))


def test_shared_weights_are_saved_once(tmp_path: Path) -> None:
    model = classifier()
    model.tied = torch.nn.Linear(32, 64, bias=False)
    model.tied.weight = model.get_input_embeddings().weight
    folder = ResumeFolder(tmp_path, NEVER)
    fit(model, sentences(8), labels_objective, settings(epochs=1), resume=folder)
    with safe_open(tmp_path / STATE_FILE, framework="pt") as state:
        names = set(state.keys())
    assert "model/student.bert.embeddings.word_embeddings.weight" in names
    assert "model/student.tied.weight" not in names
