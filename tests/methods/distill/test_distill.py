"""Students of tiny teachers: every objective brings them nearer."""

from pathlib import Path

import pytest
import torch

from bertslim.methods.distill.distill import distill
from bertslim.methods.distill.objective import first_map
from bertslim.methods.distill.plan import plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import keep_layers
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, read_examples
from bertslim.train.settings import TrainReport
from bertslim.train.task import load_task
from bertslim.train.teacher import LiveTeacher
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.training import assert_equal, settings, weights


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> SlimBertPreTrainedModel:
    folder = tmp_path_factory.mktemp("teacher")
    return load_model(open_checkpoint(save_tiny_bert(folder, num_hidden_layers=4)))


@pytest.fixture(scope="module")
def examples(sentence_task: Path, teacher: SlimBertPreTrainedModel) -> Examples:
    return read_examples(load_task(sentence_task), "train", teacher, tiny_tokenizer())


def taught(
    teacher: SlimBertPreTrainedModel,
    examples: Examples,
    objective: str,
    alpha: float | None = None,
    **changes: object,
) -> tuple[SlimBertPreTrainedModel, TrainReport]:
    student = keep_layers(teacher, [0, 3])
    wishes = distill_settings(objective, 2.0, alpha, [], "skip", None)
    planned = plan(wishes, student.config, teacher.config)
    run = settings(**{"epochs": 4, "learning_rate": 1e-3, **changes})
    live = LiveTeacher(teacher, planned.asked) if planned.needs_teacher else None
    return distill(student, live, planned, run, examples, examples)


@pytest.mark.parametrize("objective", ["logits", "pkd", "distilbert", "tinybert"])
def test_every_term_of_every_objective_falls(
    teacher: SlimBertPreTrainedModel, examples: Examples, objective: str
) -> None:
    before = weights(teacher)
    _, report = taught(teacher, examples, objective, alpha=None if objective == "tinybert" else 1.0)
    first, last = report.losses[0], report.losses[-1]
    terms = first.keys() - {"gradient norm"}
    # a copied student starts with the teacher's own embeddings
    assert [t for t in terms if not last[t] < first[t]] == ["embeddings"] * ("embeddings" in terms)
    assert len(report.metrics) == (0 if objective == "tinybert" else 4)
    assert_equal(weights(teacher), before)


@pytest.mark.parametrize("objective", ["pkd", "tinybert"])
def test_micro_batches_change_nothing(
    teacher: SlimBertPreTrainedModel, examples: Examples, objective: str
) -> None:
    _, whole = taught(teacher, examples, objective, epochs=2)
    _, parts = taught(teacher, examples, objective, epochs=2, accumulation=3)
    for found, expected in zip(parts.losses, whole.losses, strict=True):
        assert found == pytest.approx(dict(expected), rel=1e-4)


def test_without_a_teachers_weight_there_is_no_teacher(
    teacher: SlimBertPreTrainedModel, examples: Examples
) -> None:
    _, report = taught(teacher, examples, "logits", alpha=0.0, epochs=1)
    assert report.losses[0].keys() == {"task", "gradient norm"}


def test_a_map_of_states_keeps_lengths() -> None:
    assert torch.equal(first_map(8, 8, 0), torch.eye(8))
    narrow, wide = first_map(8, 5, 0), first_map(5, 8, 0)
    torch.testing.assert_close(narrow.T @ narrow, torch.eye(5))
    torch.testing.assert_close(wide @ wide.T, torch.eye(5))
    assert not torch.equal(first_map(8, 5, 1), narrow)
