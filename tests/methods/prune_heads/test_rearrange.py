"""Swaps, against all choices there are."""

import itertools

import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_heads.rearrange import rearranged


def rise(gradients: Tensor, kept: Tensor) -> float:
    """|| sum of removed gradients ||^2."""
    return float(gradients[:, ~kept].double().sum(dim=1).square().sum())


def best_by_the_book(gradients: Tensor, count: int) -> float:
    """The least || sum of removed gradients ||^2 of all ways to keep so many."""
    units = gradients.shape[1]
    rises = []
    for kept in itertools.combinations(range(units), count):
        mask = torch.zeros(units, dtype=torch.bool)
        mask[list(kept)] = True
        rises.append(rise(gradients, mask))
    return min(rises)


def first(units: int, count: int) -> Tensor:
    return torch.arange(units) < count


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 3, 5])
def test_swaps_end_where_no_single_one_helps(seed: int, count: int) -> None:
    gradients = torch.randn(20, 6, generator=torch.Generator().manual_seed(seed))
    kept, swaps = rearranged(gradients, first(6, count))
    assert int(kept.sum()) == count
    end = rise(gradients, kept)
    assert end <= rise(gradients, first(6, count))
    assert (swaps == 0) == torch.equal(kept, first(6, count))
    for out, back in itertools.product(kept.nonzero().flatten(), (~kept).nonzero().flatten()):
        other = kept.clone()
        other[out], other[back] = False, True
        assert rise(gradients, other) >= end - 1e-6


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 3, 5])
def test_units_that_do_not_meet_are_kept_by_their_size(seed: int, count: int) -> None:
    """Orthogonal gradients: the best choice of all is found."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(20, 6, generator=generator))[0]
    gradients = basis * torch.rand(6, generator=generator)
    kept, _ = rearranged(gradients, first(6, count))
    assert rise(gradients, kept) == pytest.approx(best_by_the_book(gradients, count), rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_one_unit_or_all_but_one_are_the_best_of_all(seed: int) -> None:
    gradients = torch.randn(20, 6, generator=torch.Generator().manual_seed(seed))
    for count in (1, 5):
        kept, _ = rearranged(gradients, first(6, count))
        assert rise(gradients, kept) == pytest.approx(best_by_the_book(gradients, count), rel=1e-4)


def test_what_undoes_each_other_goes_together() -> None:
    """Each of a pair is worth most by itself; both together are worth nothing."""
    gradients = torch.zeros(4, 4)
    gradients[0] = torch.tensor([5.0, -5.0, 0.0, 0.0])
    gradients[1, 2] = gradients[2, 3] = 1.0
    kept, swaps = rearranged(gradients, torch.tensor([True, False, False, True]))
    assert kept.tolist() == [False, False, True, True]
    assert swaps == 1


@pytest.mark.parametrize("kept", [first(3, 0), first(3, 3)])
def test_nothing_to_swap(kept: Tensor) -> None:
    found, swaps = rearranged(torch.ones(2, 3), kept)
    assert torch.equal(found, kept)
    assert swaps == 0
