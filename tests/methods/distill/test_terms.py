"""Each term by its formula, and what holds for all of them: padding and batches change nothing."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bertslim.methods.distill.terms import (
    ProjectedStates,
    Term,
    attention_loss,
    cosine_loss,
    item_mean,
    logit_error,
    patient_loss,
)
from bertslim.model.modeling import SlimBertOutput

PAIRS = ((1, 2), (2, 4))
LENGTHS = (5, 3, 2)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def outputs(layers: int, width: int, seed: int) -> SlimBertOutput:
    """Three texts of up to five tokens, two heads."""
    return SlimBertOutput(
        logits=draw(3, 2, seed=seed),
        hidden_states=tuple(draw(3, 5, width, seed=seed + n) for n in range(layers + 1)),
        attention_scores=tuple(draw(3, 2, 5, 5, seed=seed + n) for n in range(layers)),
    )


STUDENT, TEACHER, NARROW = outputs(2, 8, 10), outputs(4, 8, 20), outputs(2, 6, 30)
BATCH = {
    "input_ids": torch.zeros(3, 5, dtype=torch.long),
    "attention_mask": (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).long(),
    "labels": torch.tensor([0, 1, 1]),
}


def test_logits_are_compared_class_by_class() -> None:
    squares = (STUDENT.logits - TEACHER.logits).square()
    assert logit_error(STUDENT, TEACHER, BATCH) == pytest.approx(float(squares.sum()) / 3)


def test_patience_is_the_distance_on_the_sphere() -> None:
    """|a/|a| - b/|b||^2 = 2 - 2 cos(a, b), summed over layers."""
    expected = 0.0
    for own, other in PAIRS:
        a, b = STUDENT.hidden_states[own][:, 0], TEACHER.hidden_states[other][:, 0]
        expected += float((2 - 2 * torch.cosine_similarity(a, b)).sum()) / 3
    assert patient_loss(STUDENT, TEACHER, BATCH, PAIRS) == pytest.approx(expected, rel=1e-5)


def test_cosines_are_those_of_the_last_states() -> None:
    cosines = torch.cosine_similarity(STUDENT.hidden_states[-1], TEACHER.hidden_states[-1], dim=-1)
    rows = [float((1 - row[:n]).mean()) for row, n in zip(cosines, LENGTHS, strict=True)]
    assert cosine_loss(STUDENT, TEACHER, BATCH) == pytest.approx(sum(rows) / 3, rel=1e-5)


def test_attention_is_compared_before_mask_and_softmax() -> None:
    expected = 0.0
    for own, other in PAIRS:
        gaps = (STUDENT.attention_scores[own - 1] - TEACHER.attention_scores[other - 1]).square()
        expected += sum(float(g[:, :n, :n].mean()) for g, n in zip(gaps, LENGTHS, strict=True)) / 3
    assert attention_loss(STUDENT, TEACHER, BATCH, PAIRS) == pytest.approx(expected, rel=1e-5)


def test_states_are_compared_through_maps() -> None:
    maps = ProjectedStates(PAIRS, draw(8, 6, seed=1))
    expected = 0.0
    for (own, other), w in zip(PAIRS, maps.maps, strict=True):
        gaps = (
            (NARROW.hidden_states[own] @ w.detach().T - TEACHER.hidden_states[other])
            .square()
            .sum(-1)
        )
        expected += sum(float(g[:n].mean()) for g, n in zip(gaps, LENGTHS, strict=True)) / 3
    loss = maps(NARROW, TEACHER, BATCH)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(w.grad.abs().max() > 0 for w in maps.maps)
    assert maps.maps[0] is not maps.maps[1]


TERMS: dict[str, Term] = {
    "mse": logit_error,
    "patient": lambda s, t, b: patient_loss(s, t, b, PAIRS),
    "cosine": cosine_loss,
    "attention": lambda s, t, b: attention_loss(s, t, b, PAIRS),
    "hidden": ProjectedStates(PAIRS, torch.eye(8)).requires_grad_(False),
}


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_nothing_is_lost_when_student_and_teacher_agree(term: Term) -> None:
    same = SlimBertOutput(
        logits=TEACHER.logits,
        hidden_states=tuple(TEACHER.hidden_states[n] for n in (0, 2, 4)),
        attention_scores=tuple(TEACHER.attention_scores[n] for n in (1, 3)),
    )
    assert float(term(same, TEACHER, BATCH)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_padding_has_no_part(term: Term) -> None:
    def spoilt(found: SlimBertOutput) -> SlimBertOutput:
        mask = BATCH["attention_mask"].bool()
        states = tuple(x.masked_fill(~mask[..., None], 9.0) for x in found.hidden_states)
        pairs = mask[:, None, :, None] & mask[:, None, None, :]
        scores = tuple(x.masked_fill(~pairs, -9.0) for x in found.attention_scores)
        return SlimBertOutput(logits=found.logits, hidden_states=states, attention_scores=scores)

    plain, other = term(STUDENT, TEACHER, BATCH), term(spoilt(STUDENT), TEACHER, BATCH)
    assert float(plain) == pytest.approx(float(other), rel=1e-6)
    assert float(plain) > 0.1


def rows_of(found: SlimBertOutput, rows: list[int]) -> SlimBertOutput:
    return SlimBertOutput(
        logits=found.logits[rows],
        hidden_states=tuple(x[rows] for x in found.hidden_states),
        attention_scores=tuple(x[rows] for x in found.attention_scores),
    )


TAGS = torch.tensor([[0, 1, 1, 0, -100], [1, -100, -100, -100, -100], [-100] * 5])


@pytest.mark.parametrize("labels", [BATCH["labels"], TAGS], ids=["texts", "tokens"])
@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_a_batch_is_the_mean_of_its_parts_by_their_items(term: Term, labels: Tensor) -> None:
    """So neither accumulation nor several processes change the loss."""
    batch = {**BATCH, "labels": labels}
    tagged = labels.ndim == 2

    def loss(rows: list[int]) -> float:
        own, other = (rows_of(o, rows) for o in (STUDENT, TEACHER))
        if tagged:
            own.logits, other.logits = (draw(3, 5, 2, seed=s)[rows] for s in (1, 2))
        return float(term(own, other, {name: column[rows] for name, column in batch.items()}))

    first, second = ([0, 2], [1])
    shares = (4 / 5, 1 / 5) if tagged else (2 / 3, 1 / 3)
    parts = shares[0] * loss(first) + shares[1] * loss(second)
    assert loss([0, 1, 2]) == pytest.approx(parts, rel=1e-5)


def test_rows_without_items_do_not_count() -> None:
    rows = torch.tensor([1.0, 2.0, math.inf]).nan_to_num(posinf=50.0)
    assert item_mean(rows, {"labels": TAGS}) == pytest.approx((4 * 1 + 2) / 5)
    assert item_mean(rows, {}) == pytest.approx(53 / 3)


def bf16(found: SlimBertOutput) -> SlimBertOutput:
    return SlimBertOutput(
        logits=found.logits.bfloat16(),
        hidden_states=tuple(x.bfloat16() for x in found.hidden_states),
        attention_scores=tuple(x.bfloat16() for x in found.attention_scores),
    )


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_losses_are_fp32_whatever_the_outputs_are(term: Callable[..., Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = term(bf16(STUDENT), bf16(TEACHER), BATCH)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(term(STUDENT, TEACHER, BATCH)), rel=2e-2)
