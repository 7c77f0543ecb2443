import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from bertslim.model.modeling import SlimBertOutput
from bertslim.train.batching import collate, rows_at
from bertslim.train.objectives import divergence, labels_objective, teacher_objective
from tests.train.training import classifier, sentences


def test_labels_give_the_mean_cross_entropy() -> None:
    batch = collate(rows_at(sentences(6), range(6)), 0)
    tensors = {name: torch.from_numpy(column) for name, column in batch.items()}
    outputs = classifier().eval()(**tensors)
    losses = labels_objective(outputs, None, tensors)
    assert losses.keys() == {"task"}
    assert torch.equal(losses["task"], cross_entropy(outputs.logits, tensors["labels"]))


def distributions(*rows: list[float]) -> torch.Tensor:
    """Logits of these distributions."""
    return torch.tensor(rows).log()


def outputs(**logits: torch.Tensor) -> SlimBertOutput:
    return SlimBertOutput(loss=torch.tensor(5.0), **logits)


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


EVEN, SURE, UNSURE = [0.5, 0.5], [0.9, 0.1], [0.6, 0.4]


def test_the_teachers_classes_are_learnt_per_example() -> None:
    student, teacher = (
        outputs(logits=distributions(EVEN, UNSURE)),
        outputs(logits=distributions(SURE, SURE)),
    )
    losses = teacher_objective(1.0, 0.75)(student, teacher, {"labels": torch.tensor([0, 1])})
    expected = (kl(SURE, EVEN) + kl(SURE, UNSURE)) / 2
    assert losses["soft"] == pytest.approx(0.75 * expected)
    assert losses["task"] == pytest.approx(0.25 * 5)


def test_a_temperature_softens_both_and_keeps_the_size_of_the_gradient() -> None:
    z = torch.tensor([[1.0, -1.0, 0.5]], requires_grad=True)
    v = torch.tensor([[2.0, 0.0, -1.0]])
    p, q = ((x / 4).softmax(-1)[0].tolist() for x in (v, z))
    loss = divergence(z, v, 4.0)
    assert loss.item() == pytest.approx(16 * kl(p, q), rel=1e-4)
    loss.backward()
    # d/dz = T (q - p)
    expected = [4 * (b - a) for a, b in zip(p, q, strict=True)]
    assert z.grad[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_only_tokens_with_a_label_are_learnt_from_the_teacher() -> None:
    student = outputs(logits=distributions(EVEN, UNSURE, EVEN)[None])
    teacher = outputs(logits=distributions(SURE, SURE, UNSURE)[None])
    labels = torch.tensor([[-100, 1, 0]])
    losses = teacher_objective(1.0, 1.0)(student, teacher, {"labels": labels})
    assert losses["soft"] == pytest.approx((kl(SURE, UNSURE) + kl(UNSURE, EVEN)) / 2)


def test_answers_are_learnt_at_both_ends_and_never_in_the_padding() -> None:
    padded = torch.tensor([[50.0]])
    student = outputs(
        start_logits=torch.cat([distributions(EVEN), padded], 1),
        end_logits=torch.cat([distributions(UNSURE), -padded], 1),
    )
    teacher = outputs(
        start_logits=torch.cat([distributions(SURE), -padded], 1),
        end_logits=torch.cat([distributions(SURE), padded], 1),
    )
    batch = {"attention_mask": torch.tensor([[1, 1, 0]])}
    losses = teacher_objective(1.0, 1.0)(student, teacher, batch)
    assert losses["soft"] == pytest.approx((kl(SURE, EVEN) + kl(SURE, UNSURE)) / 2)


def test_scores_are_learnt_as_they_are() -> None:
    student, teacher = (
        outputs(logits=torch.tensor([[1.0], [3.0]])),
        outputs(logits=torch.tensor([[2.0], [0.0]])),
    )
    losses = teacher_objective(4.0, 0.5)(student, teacher, {"labels": torch.tensor([1.0, 2.0])})
    assert losses["soft"] == pytest.approx(0.5 * (1 + 9) / 2)
