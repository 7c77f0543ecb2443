"""Several tasks over one encoder in the training loop."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bertslim.errors import TrainingError
from bertslim.model.multitask import MultiTaskModel
from bertslim.train import session
from bertslim.train.batching import collate, rows_at
from bertslim.train.feeding import Prepare
from bertslim.train.loop import Course, fit, fit_tasks
from bertslim.train.objectives import labels_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport
from bertslim.train.teacher import LiveTeacher
from tests.train.test_resume import NEVER, interrupted_at, saved_step
from tests.train.training import assert_equal, classifier, sentences, settings, tagged, tagger
from tests.train.training import weights as weights_of


@dataclass(frozen=True)
class Value:
    value: float


def two() -> MultiTaskModel:
    return MultiTaskModel({"texts": classifier(0), "tags": tagger(1)})


def evaluate(model: MultiTaskModel) -> Value:
    """Any number that depends on the weights."""
    return Value(float(model.tasks["tags"].classifier.weight.detach().sum()))


def train(
    folder: ResumeFolder | None = None, prepare: Prepare | None = None, **changes: object
) -> tuple[MultiTaskModel, TrainReport]:
    courses = {
        "texts": Course(sentences(48), labels_objective, prepare=prepare),
        "tags": Course(tagged(16), labels_objective),
    }
    run = settings(dropout=0.2, **changes)
    return fit_tasks(two(), courses, run, balance=0.5, evaluate=evaluate, resume=folder)


def loss(model: MultiTaskModel, name: str) -> float:
    rows = sentences(48) if name == "texts" else tagged(16)
    batch = collate(rows_at(rows, range(len(rows))), 0)
    with torch.no_grad():
        inputs = {name: torch.from_numpy(column) for name, column in batch.items()}
        return float(model.tasks[name](**inputs).loss)


def test_every_head_learns() -> None:
    before = two()
    after, report = train(epochs=8, learning_rate=5e-3)
    for name in ("texts", "tags"):
        assert loss(after, name) < loss(before.eval(), name) / 2
    # 6 and 2 batches, an epoch of 8: 5 and 3
    assert (report.steps, report.examples) == (64, 8 * (5 + 3) * 8)


def test_one_task_is_trained_as_it_is_alone() -> None:
    alone, expected = fit(classifier(), sentences(30), labels_objective, settings())
    model = MultiTaskModel({"texts": classifier()})
    course = Course(sentences(30), labels_objective)
    _, report = fit_tasks(model, {"texts": course}, settings(), balance=0.5)
    assert_equal(weights_of(model.tasks["texts"]), weights_of(alone))
    assert report.losses == expected.losses


def test_resumed_run_equals_uninterrupted(tmp_path: Path) -> None:
    model, report = train()
    folder = ResumeFolder(tmp_path / "state", NEVER)
    with pytest.raises(KeyboardInterrupt):
        train(folder, interrupted_at(4))
    assert 4 <= saved_step(folder) <= 8
    resumed, resumed_report = train(folder)
    assert_equal(weights_of(resumed), weights_of(model))
    assert resumed_report.losses == report.losses
    assert resumed_report.metrics == report.metrics


def test_each_task_has_its_teacher() -> None:
    """One that is asked about other rows, or by another head, would have other outputs."""
    heads = {"texts": 2, "tags": 2}
    teachers = {"texts": LiveTeacher(classifier(5)), "tags": LiveTeacher(tagger(6))}
    rows = {"texts": sentences(16), "tags": tagged(16)}
    seen: dict[str, list[int]] = {name: [] for name in heads}

    def course(name: str) -> Course:
        def compare(student: object, told: object, _batch: object) -> dict[str, torch.Tensor]:
            seen[name].append(told.logits.ndim)
            return {"mse": (student.logits - told.logits).square().mean()}

        return Course(rows[name], compare, teachers[name])

    fit_tasks(two(), {name: course(name) for name in heads}, settings(), balance=0.5)
    assert (set(seen["texts"]), set(seen["tags"])) == ({2}, {3})


def test_losses_of_different_names_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which is waited for now and then only."""

    def renamed(*parts: object) -> dict[str, torch.Tensor]:
        losses = labels_objective(*parts)
        return {"tagging": losses["task"], "again": losses["task"]}

    def losses() -> list[dict[str, float]]:
        courses = {
            "texts": Course(sentences(48), labels_objective),
            "tags": Course(tagged(16), renamed),
        }
        return fit_tasks(two(), courses, settings(), balance=0.5)[1].losses

    expected = losses()
    monkeypatch.setitem(session.STEPS_BETWEEN_READINGS, "cpu", 16)
    found = losses()
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other)
        assert one["tagging"] == one["again"] != one["task"]


def test_a_task_without_examples_is_refused() -> None:
    courses = {name: Course(sentences(8), labels_objective) for name in ("texts", "tags")}
    courses["tags"] = Course(tagged(4).select([]), labels_objective)
    with pytest.raises(TrainingError, match="no example to train on"):
        fit_tasks(two(), courses, settings(), balance=0.5)
