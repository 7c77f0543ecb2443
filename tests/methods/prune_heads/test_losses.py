"""The loss of answers that the model gives itself."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_heads.losses import answer_loss, item_logits
from bertslim.methods.prune_heads.passes import labelled_batches
from tests.methods.prune_heads.kinds import every_kind, world

DRAWS = 20_000


class Says:
    """A model that says the same of every row."""

    def __init__(self, z: Tensor, problem_type: str | None) -> None:
        self.z, self.config = z, SimpleNamespace(problem_type=problem_type)

    def __call__(self, **_: Tensor) -> SimpleNamespace:
        return SimpleNamespace(start_logits=None, logits=self.z)


def gradients(z: list[float], problem_type: str | None = None) -> Tensor:
    """d loss / d logits of many answers to one question, (draws, classes)."""
    logits = torch.tensor([z]).repeat(DRAWS, 1).requires_grad_()
    loss = answer_loss(seed=0)(Says(logits, problem_type), {}, DRAWS)
    return torch.autograd.grad(loss, logits)[0]


def test_squares_of_gradients_are_the_fisher_information() -> None:
    z = [0.5, -0.3, 1.2]
    p = torch.tensor(z).softmax(-1)
    found = gradients(z)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=0.02, rtol=0)
    # E[g g^T] = diag(p) - p p^T, the second derivative of KL(p || q)
    fisher = found.T @ found / DRAWS
    torch.testing.assert_close(fisher, torch.diag(p) - torch.outer(p, p), atol=0.01, rtol=0)


def test_labels_that_do_not_exclude_each_other() -> None:
    z = [0.5, -2.0]
    p = torch.tensor(z).sigmoid()
    found = gradients(z, "multi_label_classification")
    torch.testing.assert_close(found.square().mean(0), p * (1 - p), atol=0.01, rtol=0)


@pytest.mark.parametrize("problem_type", ["regression", None])
def test_scores_are_spread_as_by_a_normal_distribution(problem_type: str | None) -> None:
    found = gradients([3.0], problem_type)
    assert float(found.mean()) == pytest.approx(0, abs=0.03)
    assert float(found.square().mean()) == pytest.approx(1, abs=0.03)


def test_equal_seeds_draw_equal_answers() -> None:
    assert torch.equal(gradients([0.1, 0.2]), gradients([0.1, 0.2]))


@every_kind
def test_every_kind_has_answers(kind: str, tmp_path: Path) -> None:
    model, examples = world(tmp_path, kind, batch_size=10)
    inputs, items = next(iter(labelled_batches(model, examples, "")))
    z = item_logits(model, inputs)
    ends = 2 if kind == "question-answering" else 1
    assert len(z) == ends * items
    loss = answer_loss(0)(model, inputs, items)
    assert loss.shape == ()
    assert float(loss.detach()) > 0


def test_answers_are_not_looked_for_in_padding(tmp_path: Path) -> None:
    model, examples = world(tmp_path, "question-answering", batch_size=10)
    inputs, _ = next(iter(labelled_batches(model, examples, "")))
    p = item_logits(model, inputs).softmax(-1)
    assert not p[inputs["attention_mask"].repeat(2, 1) == 0].any()
