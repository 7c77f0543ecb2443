import itertools
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bertslim.errors import SettingsError
from bertslim.methods.theseus import theseus as method
from bertslim.methods.theseus.schedule import Schedule
from bertslim.methods.theseus.theseus import TheseusReport, theseus
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.examples import Examples
from bertslim.train.resume import ResumeFolder
from bertslim.train.task import load_task
from tests.methods.theseus.worlds import examples, predecessor, wishes
from tests.train.tasks import conll_task, lines_task, small_task, squad_task
from tests.train.training import assert_equal, settings, weights

World = tuple[SlimBertPreTrainedModel, Examples]
TRAIN = settings(epochs=3, learning_rate=1e-3, dropout=0.1, accumulation=2)
"""Two epochs of four steps in which modules are replaced, and one."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sentence_task: Path) -> World:
    model = predecessor(tmp_path_factory.mktemp("world") / "m")
    return model, examples(load_task(sentence_task), model)


def run(
    world: World, folder: Path | None = None, **changes: object
) -> tuple[SlimBertPreTrainedModel, TheseusReport]:
    model, rows = world
    resume = None if folder is None else ResumeFolder(folder, 1e9)
    return theseus(model, wishes(**changes), rows, rows, TRAIN, resume=resume)


def moved(successor: SlimBertPreTrainedModel, model: SlimBertPreTrainedModel) -> set[str]:
    before = weights(model)
    return {name for name, tensor in weights(successor).items() if not tensor.equal(before[name])}


def test_the_successor_alone_learns(world: World) -> None:
    model, _ = world
    before = weights(model)
    successor, report = run(world)
    assert len(successor.encoder.layers) == successor.config.num_hidden_layers == 2
    assert report.modules == ((0, 1), (2, 3))
    names = {name for name, _ in successor.named_parameters() if ".layers." in name}
    # the last layer's key bias moves no score
    assert names - moved(successor, model) <= {n for n in names if n.endswith("key.bias")}
    assert moved(successor, model) <= names
    assert_equal(weights(model), before)
    assert all(parameter.requires_grad for parameter in successor.parameters())
    assert not successor.training


def test_the_report_tells_rates_and_draws(world: World) -> None:
    _, report = run(world)
    assert report.schedule == Schedule("linear", 0.3, 8, 8)
    assert report.rates == pytest.approx((0.43125, 0.78125, 1.0))
    drawn = [report.schedule.drawn(step, 2, TRAIN.seed).mean() for step in range(12)]
    assert report.replaced == pytest.approx(np.reshape(drawn, (3, 4)).mean(axis=1))
    assert len(report.training.metrics) == 3


@dataclass(frozen=True)
class Value:
    value: float


@pytest.fixture
def last_epoch_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    values = itertools.count()
    monkeypatch.setattr(method, "selection_score", lambda *_: Value(next(values)))


@pytest.mark.usefixtures("last_epoch_wins")
def test_embeddings_and_head_learn_later_on_request(world: World) -> None:
    successor, _ = run(world, unfreeze=True, rate=1.0)
    names = moved(successor, world[0])
    assert {"classifier.weight", "bert.pooler.weight"} <= names
    assert "bert.embeddings.word_embeddings.weight" in names
    model, rows = world
    frozen = replace(TRAIN, freeze_embeddings=True)
    successor, _ = theseus(model, wishes(unfreeze=True), rows, rows, frozen)
    names = moved(successor, model)
    assert "bert.embeddings.position_embeddings.weight" in names
    assert "bert.embeddings.word_embeddings.weight" not in names


def test_until_then_they_are_frozen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen at the end of each epoch."""
    seen: list[set[str]] = []

    def spy(successor: SlimBertPreTrainedModel, _rows: Examples) -> Value:
        seen.append(moved(successor, world[0]))
        return Value(len(seen))

    monkeypatch.setattr(method, "selection_score", spy)
    run(world, unfreeze=True)
    assert ["classifier.weight" in names for names in seen] == [False, False, True]


def test_what_is_not_drawn_does_not_move(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(self: Schedule, step: int, modules: int, seed: int) -> npt.NDArray[np.bool_]:
        del self, seed
        # every other batch goes through the predecessor alone: nothing is learnt from it
        return np.array([False, step % 2 == 0])[:modules]

    monkeypatch.setattr(Schedule, "drawn", second)
    successor, report = run(world)
    names = moved(successor, world[0])
    assert names
    assert not [name for name in names if ".layers.0." in name]
    assert all(np.isfinite(list(losses.values())).all() for losses in report.training.losses)


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Schedule.drawn

    def interrupting(self: Schedule, at: int, modules: int, seed: int) -> npt.NDArray[np.bool_]:
        if at == step:
            signal.raise_signal(signal.SIGINT)
        return drawn(self, at, modules, seed)

    monkeypatch.setattr(Schedule, "drawn", interrupting)


@pytest.mark.parametrize("step", [2, 7, 9])
@pytest.mark.parametrize("unfreeze", [False, True])
def test_resumed_run_equals_uninterrupted_in_both_phases(
    world: World, step: int, unfreeze: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, report = run(world, unfreeze=unfreeze)
    with monkeypatch.context() as patched:
        interrupted_at(step, patched)
        with pytest.raises(KeyboardInterrupt):
            run(world, tmp_path, unfreeze=unfreeze)
    resumed, resumed_report = run(world, tmp_path, unfreeze=unfreeze)
    assert_equal(weights(resumed), weights(whole))
    assert resumed_report.replaced == report.replaced
    assert resumed_report.training.losses == report.training.losses
    assert resumed_report.training.metrics == report.training.metrics


def test_all_parts_of_a_batch_meet_the_same_modules(world: World) -> None:
    model, rows = world
    plain = replace(TRAIN, dropout=0.0)
    _, parts = theseus(model, wishes(), rows, rows, plain)
    _, whole = theseus(model, wishes(), rows, rows, replace(plain, accumulation=1))
    for found, expected in zip(parts.training.losses, whole.training.losses, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


def test_the_predecessor_can_teach_as_well(world: World) -> None:
    plain, _ = run(world)
    taught, report = run(world, distill=0.5)
    assert report.training.losses[0].keys() >= {"soft", "task"}
    assert not torch.equal(
        taught.encoder.layers[0].ffn.output.weight, plain.encoder.layers[0].ffn.output.weight
    )


def test_other_kinds_of_tasks(tmp_path: Path) -> None:
    lines = "a the film was good\nit is very bad\nthe end is near\n" * 4
    rows = "".join(f'{{"text": "{"very " * (n % 5)}good", "label": {n % 5}}}\n' for n in range(12))
    document = 'kind = "text-regression"\nmax_length = 16\n[data]\ntrain = "a.jsonl"\n'
    tasks = {
        "text-regression": small_task(tmp_path / "scores", document, {"a.jsonl": rows}),
        "token-classification": conll_task(tmp_path / "tags"),
        "question-answering": squad_task(tmp_path / "questions"),
        "masked-lm": lines_task(tmp_path / "words", lines),
    }
    for kind, task in tasks.items():
        labels = {0: "O", 1: "B-PER", 2: "B-LOC", 3: "I-PER"}
        named = {"id2label": labels} if kind == "token-classification" else {}
        model = predecessor(tmp_path / kind, kind, **named)
        read = examples(task, model)
        successor, report = theseus(model, wishes(distill=0.5), read, read, TRAIN)
        assert len(successor.encoder.layers) == 2
        assert len(report.training.metrics) == 3
        assert report.training.losses[0].keys() >= {"soft", "task"}
        assert all(".layers." in name for name in moved(successor, model))


def test_what_the_model_or_the_run_does_not_allow_is_told_at_once(world: World) -> None:
    model, rows = world
    wrong = wishes("layers=1/3", full_at="9")
    with pytest.raises(SettingsError) as error:
        theseus(model, wrong, rows, rows, TRAIN)
    assert str(error.value).splitlines() == [
        "this model cannot be replaced like this:",
        "  - --successor: layers=1/3 does not divide 4 layers",
        "  - --full-at 9 is past the 8 steps in which modules are replaced",
    ]
