"""How many heads may go before a metric falls by more than it may."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bertslim.errors import QualityError
from bertslim.train.drop import within
from bertslim.train.examples import Examples

MISSES = 2
"""Tenths in a row that miss the bound before no further one is tried: one can miss it by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """How good the model has to stay.

    Attributes:
        max_drop: How far the metric may fall,
        examples: on these rows, which neither were trained on nor are reported.
    """

    max_drop: float
    examples: Examples


@dataclass(frozen=True, slots=True)
class Held:
    """What was found on the tuning slice.

    Attributes:
        max_drop: How far the metric was allowed to fall.
        rows: How many there were to measure it on.
        before: The metric with all heads.
        after: Without those that go.
        tried: The metric by number of removed heads, in that order.
    """

    max_drop: float
    rows: int
    before: float
    after: float
    tried: dict[int, float]


def most_within(
    metric: Callable[[int], float],
    stops: Sequence[int],
    bound: Bound,
    one: str = "the least important head",
) -> tuple[int, Held]:
    """Find the greatest number of heads without which the metric falls by no more than it may.

    Coarse to fine: stop after stop, then by bisection in the step behind the last one that holds,
    as if the metric only fell there.

    Args:
        metric: By number of removed heads.
        stops: Numbers of heads to try, ascending; the first is 0.
        bound: How far the metric may fall.
        one: What the first to go is called.

    Returns:
        The number of heads, at least 1; and what was measured.

    Raises:
        QualityError: If not even one head can go.
    """
    tried = {0: metric(0)}

    def holds(count: int) -> bool:
        if count not in tried:
            tried[count] = metric(count)
        return within(tried[0], tried[count], bound.max_drop)

    last = _last_holding(holds, stops)
    beyond = next((stop for stop in stops if stop > last), last)
    between = range(last + 1, beyond)
    most = last + bisect_left(between, True, key=lambda count: not holds(count))
    if most == 0:
        raise QualityError(
            f"already without {one} the metric is {tried[1]:.4f} on the tuning "
            f"slice, more than {bound.max_drop:g} below {tried[0]:.4f}",
            "raise --max-drop, or retrain after --remove",
        )
    held = dict(sorted(tried.items()))
    return most, Held(bound.max_drop, len(bound.examples.data), tried[0], tried[most], held)


def _last_holding(holds: Callable[[int], bool], stops: Sequence[int]) -> int:
    """Return the last stop that holds, among those before `MISSES` in a row that do not."""
    last, missed = stops[0], 0
    for _, stop in pairwise(stops):
        if holds(stop):
            last, missed = stop, 0
        elif (missed := missed + 1) == MISSES:
            break
    return last
