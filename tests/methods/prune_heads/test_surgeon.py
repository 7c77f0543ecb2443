"""What the surgeon says of units, against least squares computed the slow way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.parts import KINDS, Part, parts_of
from bertslim.methods.prune_heads.surgeon import Curvature, curvature_of, ranked, surgeon_rankings
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from tests.methods.prune_heads.kinds import every_kind, world
from tests.methods.prune_heads.worlds import evidence, silence

EIGHTS = Limits(KINDS, 1, 8)
CASES = [(1, 1), (1, 3), (2, 1), (3, 1)]
"""Channels of a unit, and how many units go at a time."""


def problem(units: int = 8, channels: int = 1, hidden: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """W, A and G of an output projection, none of them diagonal."""
    generator = torch.Generator().manual_seed(0)
    n = units * channels
    weight = torch.randn(hidden, n, generator=generator, dtype=torch.float64)
    x = torch.randn(3 * n, n, generator=generator, dtype=torch.float64)
    y = torch.randn(2 * hidden, hidden, generator=generator, dtype=torch.float64)
    return weight, x.T @ x / len(x), y.T @ y / len(y)


def rise_by_the_book(weight: Tensor, a: Tensor, g: Tensor, kept: list[int]) -> float:
    """min over all W' of the kept channels of tr(G (W - W') A (W - W')^T) / 2."""
    best = torch.zeros_like(weight)
    # W' A_KK = W A_K
    best[:, kept] = torch.linalg.solve(a[kept][:, kept], a[kept] @ weight.T).T
    gone = weight - best
    return float((g @ gone @ a @ gone.T).trace()) / 2


def channels_of_first(order: Tensor, width: int, channels: int) -> list[int]:
    return [int(u) * channels + c for u in order[:width] for c in range(channels)]


@pytest.mark.parametrize(("channels", "step"), CASES)
def test_worth_is_what_least_squares_cannot_make_good(channels: int, step: int) -> None:
    weight, a, g = problem(channels=channels)
    ranking = ranked(weight, a, g, channels, step)
    assert sorted(ranking.order.tolist()) == list(range(8))
    for width in (n for n in range(9) if n % step == 0 or n == 8):
        kept = channels_of_first(ranking.order, width, channels)
        expected = -rise_by_the_book(weight, a, g, kept)
        assert ranking.worth[width] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_first_to_go_is_the_one_that_costs_least(channels: int) -> None:
    weight, a, g = problem(channels=channels)
    rises = []
    for unit in range(8):
        rest = [c for c in range(8 * channels) if c // channels != unit]
        rises.append(rise_by_the_book(weight, a, g, rest))
    assert int(ranked(weight, a, g, channels, 1).order[-1]) == int(np.argmin(rises))


def test_between_steps_worth_lies_on_a_line() -> None:
    worth = ranked(*problem(units=9), 1, 3).worth
    assert worth[4] == pytest.approx((2 * worth[3] + worth[6]) / 3)
    assert (np.diff(worth) > 0).all()


def test_the_first_step_leaves_a_multiple() -> None:
    worth = ranked(*problem(units=8), 1, 3).worth
    # two go first, then three and three
    assert worth[7] == pytest.approx((worth[6] + worth[8]) / 2)


def test_of_twins_one_can_go() -> None:
    weight, a, g = problem()
    a[:, 1], a[1] = a[:, 0].clone(), a[0].clone()
    a[1, 1] = a[0, 0]
    ranking = ranked(weight, a + 1e-9 * torch.eye(8), g, 1, 1)
    assert int(ranking.order[-1]) in (0, 1)
    assert ranking.worth[7] == pytest.approx(0, abs=1e-6)
    assert ranking.worth[6] < -1e-3


def test_a_part_that_nothing_reaches_is_worth_nothing() -> None:
    nothing = Curvature(torch.zeros(8, 8), torch.eye(5), tokens=4, examples=2)
    a, g = nothing.factors()
    assert ranked(torch.randn(5, 8), a, g, 1, 1).worth == pytest.approx(0, abs=1e-9)


def test_silent_heads_and_units_go_first(model: SlimBertPreTrainedModel) -> None:
    silence(model, 0, 2)
    with torch.no_grad():
        model.encoder.layers[1].ffn.output.weight[:, 5] = 0
    rankings = surgeon_rankings(model, evidence(), seed=0, limits=Limits(KINDS, 1, 1))
    assert set(rankings) == set(parts_of(model.config))
    assert int(rankings[Part(0, "heads")].order[-1]) == 2
    assert int(rankings[Part(1, "ffn")].order[-1]) == 5


def test_curvature_does_not_depend_on_batches_or_padding(model: SlimBertPreTrainedModel) -> None:
    one, all_ = (curvature_of(model, evidence(batch_size=size), seed=0) for size in (1, 10))
    for part, found in all_.items():
        # answers are drawn in another order, but inputs are the same
        assert (found.tokens, found.examples) == (one[part].tokens, 10)
        torch.testing.assert_close(found.inputs, one[part].inputs, rtol=1e-4, atol=1e-3)
    # of the last layer the first token of each example
    assert all_[Part(1, "ffn")].tokens == 10
    assert all_[Part(0, "ffn")].tokens == sum(4 + n % 5 for n in range(10))


def test_what_stays_whole_is_not_ranked(model: SlimBertPreTrainedModel) -> None:
    both = surgeon_rankings(model, evidence(), seed=0, limits=EIGHTS)
    alone = surgeon_rankings(model, evidence(), seed=0, limits=Limits(("heads",), 1, 8))
    for part, ranking in alone.items():
        if part.kind == "heads":
            assert torch.equal(ranking.order, both[part].order)
        else:
            assert not ranking.worth.any()


@every_kind
def test_every_kind_is_judged(kind: str, tmp_path: Path) -> None:
    model, examples = world(tmp_path, kind)
    for ranking in surgeon_rankings(model, examples, seed=0, limits=EIGHTS).values():
        assert np.isfinite(ranking.worth).all()
        assert ranking.worth[-1] == 0
        assert (np.diff(ranking.worth) >= 0).all()


def test_a_layer_without_heads(model: SlimBertPreTrainedModel) -> None:
    headless = remove_heads(model, {1: range(4)})
    ranking = surgeon_rankings(headless, evidence(), seed=0, limits=EIGHTS)[Part(1, "heads")]
    assert len(ranking.order) == 0
    assert ranking.worth.tolist() == [0]
