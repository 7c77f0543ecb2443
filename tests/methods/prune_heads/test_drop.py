"""The search for the greatest number of heads that a bound allows."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from bertslim.errors import QualityError
from bertslim.methods.prune_heads.drop import Bound, most_within
from bertslim.methods.prune_heads.orders import tenths

BOUND = Bound(0.01, SimpleNamespace(data=range(500)))
STOPS = [*tenths(72)[:-1], 66]


def falling_after(count: int) -> Callable[[int], float]:
    return lambda removed: 0.9 if removed <= count else 0.9 - 0.01 * (removed - count) - 1e-6


@pytest.mark.parametrize("most", [1, 3, 7, 8, 29, 35, 64, 65, 66])
def test_the_greatest_number_is_found(most: int) -> None:
    found, held = most_within(falling_after(most), STOPS, BOUND)
    assert found == most
    assert (held.before, held.after, held.rows, held.max_drop) == (0.9, 0.9, 500, 0.01)
    assert held.tried[found] == held.after
    assert list(held.tried) == sorted(held.tried)


def test_few_numbers_are_tried() -> None:
    found, held = most_within(falling_after(24), STOPS, BOUND)
    assert found == 24
    # tenths up to the second one that misses, then three between two tenths
    assert [count for count in held.tried if count in STOPS] == [0, 7, 14, 22, 29, 36]
    assert len(held.tried) <= 6 + 3


def test_one_tenth_may_miss_by_chance() -> None:
    metrics = {7: 0.88, 14: 0.9, 22: 0.85, 29: 0.85, 36: 0.9}
    found, held = most_within(lambda count: metrics.get(count, 0.9), STOPS, BOUND)
    assert 14 < found < 22
    assert 36 not in held.tried


def test_a_drop_of_exactly_the_bound_is_allowed() -> None:
    found, _ = most_within(lambda count: 0.9 if count == 0 else 0.89, STOPS, BOUND)
    assert found == 66


def test_a_bound_that_not_even_one_head_satisfies() -> None:
    with pytest.raises(QualityError, match=r"0\.8800 on the tuning slice, more than 0\.01 below"):
        most_within(lambda count: 0.9 if count == 0 else 0.88, STOPS, BOUND)
