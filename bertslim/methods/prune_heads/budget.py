"""The best widths that a budget pays for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bertslim.errors import SettingsError
from bertslim.methods.prune_heads.costs import Costs
from bertslim.methods.prune_heads.parts import KINDS, Kind, Part
from bertslim.methods.prune_heads.worth import Ranking

BINS = 4000
"""Bins that a budget is divided into; what a width costs is rounded up to whole ones."""

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Limits:
    """Which widths there are to choose from.

    Attributes:
        kinds: What may be narrowed at all.
        keep_at_least: Heads that every layer keeps.
        multiple: FFN widths are multiples of it; a part that loses nothing keeps its width.
    """

    kinds: tuple[Kind, ...]
    keep_at_least: int
    multiple: int

    def widths(self, part: Part, units: int) -> Numbers:
        """List the widths, ascending, that a part of so many units may have."""
        if part.kind not in self.kinds:
            return np.array([units])
        least, step = (self.keep_at_least, 1) if part.kind == "heads" else (self.multiple,) * 2
        return np.array([*range(min(least, units), units, step), units])

    def least(self, costs: Costs) -> float:
        """Return what a model costs that is as narrow as may be."""
        tables = costs.tables.items()
        return sum(float(t[self.widths(part, len(t) - 1)].min()) for part, t in tables)


@dataclass(frozen=True, slots=True)
class Purse:
    """A budget in bins.

    Attributes:
        bins: How many there are to spend.
        size: What a bin is worth, in the unit of the costs.
    """

    bins: int
    size: float

    def price(self, costs: Floats) -> Numbers:
        """Round costs up to bins, but for what arithmetic made of whole numbers."""
        return np.ceil(costs / self.size - 1e-9).astype(np.int64)


def purse(costs: Costs, budget: float) -> Purse:
    """Divide a budget into bins: where costs are few steps of one size, into such steps."""
    size = budget / BINS
    numbers = np.concatenate(list(costs.tables.values()))
    if (numbers == numbers.round()).all():
        size = max(size, float(np.gcd.reduce(numbers.astype(np.int64))))
    return Purse(int(budget / size + 1e-9), size)


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """The most that the parts of one kind are worth together, for every budget.

    Attributes:
        worth: (budget + 1,), of the best widths that cost no more than so many bins.
        widths: Per part, those to choose from.
        prices: Per part, what each of them costs, in bins.
        choices: Per part (budget + 1,), which of them the best are, parts up to this one.
    """

    worth: Floats
    widths: dict[Part, Numbers]
    prices: dict[Part, Numbers]
    choices: dict[Part, Numbers]

    def at(self, budget: int) -> dict[Part, int]:
        """Return the best widths for so many bins."""
        found = {}
        for part, choice in reversed(self.choices.items()):
            chosen = choice[budget]
            found[part] = int(self.widths[part][chosen])
            budget -= int(self.prices[part][chosen])
        return dict(reversed(found.items()))


def best_widths(
    rankings: Mapping[Part, Ranking], costs: Costs, limits: Limits, budget: float
) -> dict[Part, int]:
    """Find the widths of the greatest total worth that cost no more than a budget.

    Heads and FFN units are never compared one by one. For every share of the budget that heads may
    have, the best heads are known from their own frontier, and the best FFN units for the rest from
    theirs; the best sum is taken (Kwon et al. 2022, algorithm 1, where the search is over numbers
    of heads).

    Args:
        rankings: Of the units of each part; what heads and FFN units are worth must be comparable.
        costs: Of each width.
        limits: What widths there are.
        budget: In the unit of `costs`.

    Raises:
        SettingsError: If not even the narrowest model is within the budget.
    """
    heads, ffn = frontiers(rankings, costs, limits, budget)
    total = heads.worth + ffn.worth[::-1]
    share = int(total.argmax())
    return heads.at(share) | ffn.at(len(total) - 1 - share)


def frontiers(
    rankings: Mapping[Part, Ranking], costs: Costs, limits: Limits, budget: float
) -> tuple[Frontier, Frontier]:
    """Work out the frontier of heads and that of FFN units, up to a budget.

    Raises:
        SettingsError: If not even the narrowest model is within the budget.
    """
    check_budget(costs, limits, budget)
    divided = purse(costs, budget)
    heads, ffn = (
        _frontier({p: r for p, r in rankings.items() if p.kind == kind}, costs, limits, divided)
        for kind in KINDS
    )
    return _seeing(heads), ffn


def _seeing(heads: Frontier) -> Frontier:
    """Rule out what would leave no head at all: no token would see another.

    Raises:
        SettingsError: If nothing else is within the budget.
    """
    fewest, most = (sum(f(w) for w in heads.widths.values()) for f in (np.min, np.max))
    if fewest > 0 or most == 0:  # some always stay, or there are none
        return heads
    sees = [
        worth > -np.inf and any(heads.at(budget).values())
        for budget, worth in enumerate(heads.worth)
    ]
    if not any(sees):
        raise SettingsError("so little is left only where all heads go", "remove less")
    return replace(heads, worth=np.where(sees, heads.worth, -np.inf))


def check_budget(costs: Costs, limits: Limits, budget: float) -> None:
    """Find out whether a budget pays for any model at all, which needs no scores.

    Raises:
        SettingsError: If not even the narrowest model is within it.
    """
    if not pays(costs, limits, budget):
        raise SettingsError(
            f"{budget / costs.total:.1%} of the {costs.unit} are not enough: the narrowest model "
            f"takes {limits.least(costs) / costs.total:.1%}",
            "remove less, or lower --keep-at-least or --multiple",
        )


def pays(costs: Costs, limits: Limits, budget: float) -> bool:
    """Whether a budget pays for the narrowest model."""
    if budget <= 0:
        return False
    divided, tables = purse(costs, budget), costs.tables.items()
    least = (divided.price(t[limits.widths(part, len(t) - 1)]).min() for part, t in tables)
    return sum(map(int, least)) <= divided.bins


def _frontier(
    rankings: Mapping[Part, Ranking], costs: Costs, limits: Limits, divided: Purse
) -> Frontier:
    """Choose one width for each part, for every budget at once (multiple-choice knapsack).

    best_p(b) = max_n best_(p-1)(b - cost_p(n)) + worth_p(n), exact but for the rounding of costs.
    """
    worth = np.zeros(divided.bins + 1)
    widths: dict[Part, Numbers] = {}
    prices: dict[Part, Numbers] = {}
    choices: dict[Part, Numbers] = {}
    for part, ranking in rankings.items():
        widths[part] = limits.widths(part, len(ranking.order))
        prices[part] = divided.price(costs.tables[part][widths[part]])
        worth, choices[part] = _extended(worth, ranking.worth[widths[part]], prices[part])
    return Frontier(worth, widths, prices, choices)


def _extended(before: Floats, worth: Floats, prices: Numbers) -> tuple[Floats, Numbers]:
    """Take one more part in: the best worth for every budget, and which option gives it."""
    best = np.full(len(before), -np.inf)
    choice = np.zeros(len(before), dtype=np.int64)
    for number in np.flatnonzero(prices < len(before)):
        price = prices[number]
        value = before[: len(before) - price] + worth[number]
        better = value > best[price:]
        best[price:][better] = value[better]
        choice[price:][better] = number
    return best, choice
