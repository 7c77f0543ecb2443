"""How a budget is shared between heads and FFN units whose scores cannot be compared."""

from collections.abc import Callable, Mapping

import numpy as np

from bertslim.console import track
from bertslim.methods.prune_heads.budget import Limits, frontiers
from bertslim.methods.prune_heads.costs import Costs
from bertslim.methods.prune_heads.parts import Kept, Part
from bertslim.methods.prune_heads.worth import Ranking

SPLITS = 6
"""Shares to try, from the fewest heads that there may be to as many as the budget pays for."""


def widths_by_trial(
    rankings: Mapping[Part, Ranking],
    costs: Costs,
    limits: Limits,
    budget: float,
    metric: Callable[[Kept], float],
) -> dict[Part, int]:
    """Find the best widths for several splits of a budget, and take those of the best metric.

    Args:
        rankings: Of the units of each part; heads are comparable with heads alone.
        costs: Of each width.
        limits: What widths there are.
        budget: In the unit of `costs`.
        metric: Of the model with these units alone, the others masked, on a tuning slice.

    Raises:
        SettingsError: If not even the narrowest model is within the budget.
    """
    heads, ffn = frontiers(rankings, costs, limits, budget)
    possible = np.flatnonzero(np.isfinite(heads.worth) & np.isfinite(ffn.worth[::-1]))
    shares = np.unique(np.linspace(possible[0], possible[-1], SPLITS).round().astype(int))
    tried = {}
    for share in track([int(share) for share in shares], "trying splits of the budget"):
        widths = heads.at(share) | ffn.at(len(ffn.worth) - 1 - share)
        tried[share] = metric({p: rankings[p].kept(width) for p, width in widths.items()}), widths
    # of equals the one in the middle
    middle = int(shares[len(shares) // 2])
    best = max(tried, key=lambda share: (tried[share][0], -abs(share - middle)))
    return tried[best][1]
