"""What a head is for; one that gives several labels at once is no task's."""

from pathlib import Path

import pytest
import torch

from bertslim.errors import CheckpointError
from bertslim.model.kinds import HEADS, head_kind, head_named, model_kind
from bertslim.model.loading import load_for_task, load_model, save_model
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.examples import read_examples
from bertslim.train.task import load_task
from tests.model.zoo import ALL, batch, run, same, save_stock
from tests.tiny import tiny_tokenizer

SEVERAL = {"problem_type": "multi_label_classification"}


@pytest.fixture
def several(tmp_path: Path) -> Checkpoint:
    """A classifier of which any number of labels (b, a, c) may be true."""
    return save_stock(tmp_path / "several", "Bert", "text-classification", **SEVERAL)


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_a_model_and_its_configuration_tell_the_kind(
    family: str, kind: str | None, tmp_path: Path
) -> None:
    model = load_model(save_stock(tmp_path, family, kind))
    assert [model_kind(model), head_kind(model), head_kind(model.config)] == [kind] * 3


def test_several_labels_at_once_are_refused_where_a_task_uses_them(
    several: Checkpoint, sentence_task: Path
) -> None:
    model, task = load_model(several), load_task(sentence_task)
    assert head_kind(model) == "text-classification"
    with pytest.raises(CheckpointError, match="gives several labels at once") as caught:
        read_examples(task, "validation", model, tiny_tokenizer())
    assert "bertslim finetune MODEL" in caught.value.hint


def test_one_label_of_several_is_no_score(tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, "Bert", "text-classification", num_labels=1, **SEVERAL)
    with pytest.raises(CheckpointError, match="gives several labels at once"):
        model_kind(load_model(checkpoint))


def test_several_labels_at_once_stay_so_when_nothing_is_asked_of_them(
    several: Checkpoint, tmp_path: Path
) -> None:
    model = load_model(several)
    save_model(model, tmp_path / "out", tokenizer_from=None)
    again = load_model(open_checkpoint(tmp_path / "out"))
    assert again.config.problem_type == SEVERAL["problem_type"]
    assert same(run(again, **batch()).logits, run(model, **batch()).logits, 0.0)


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("x", "y")])
def test_a_task_makes_such_a_head_choose_one(labels: tuple[str, ...], several: Checkpoint) -> None:
    model = load_for_task(several, "text-classification", labels)
    assert model.config.problem_type == "single_label_classification"
    assert model_kind(model) == "text-classification"
    targets = torch.tensor([0, 1, 1])
    expected = torch.nn.functional.cross_entropy(run(model, **batch()).logits, targets)
    assert same(run(model, **batch(), labels=targets).loss, expected)


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "text-classification"])
def test_no_other_kind_inherits_it(kind: str, several: Checkpoint) -> None:
    model = load_for_task(several, kind, ("x", "y"))
    expected = "regression" if kind == "text-regression" else None
    assert (model_kind(model), model.config.problem_type) == (kind, expected)


def test_a_missing_head_is_said_to_be_missing() -> None:
    assert head_named("masked-lm") == "its head is for masked-lm"
    assert head_named(None) == "it has no head for a task"
