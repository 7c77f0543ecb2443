"""Sharing a budget by trial."""

import numpy as np
import pytest
import torch

from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.costs import Costs
from bertslim.methods.prune_heads.parts import KINDS, Kept, Part
from bertslim.methods.prune_heads.splits import SPLITS, widths_by_trial
from bertslim.methods.prune_heads.worth import best_first

UNITS = {Part(layer, kind): 4 if kind == "heads" else 24 for layer in range(2) for kind in KINDS}
RANKINGS = {part: best_first(torch.arange(float(n)) + 1) for part, n in UNITS.items()}
COSTS = Costs(
    "FLOPs",
    {p: np.arange(n + 1.0) * (6 if p.kind == "heads" else 1) for p, n in UNITS.items()},
)
LIMITS = Limits(KINDS, 1, 4)
BUDGET = 48.0


def heads_in(kept: Kept) -> int:
    return sum(int(mask.sum()) for part, mask in kept.items() if part.kind == "heads")


@pytest.mark.parametrize("best", range(2, 7))
def test_the_split_of_the_best_metric_is_taken(best: int) -> None:
    tried = []

    def metric(kept: Kept) -> float:
        tried.append(heads_in(kept))
        return -abs(tried[-1] - best)

    widths = widths_by_trial(RANKINGS, COSTS, LIMITS, BUDGET, metric)
    assert COSTS.of(widths) <= BUDGET
    left = sum(n for part, n in widths.items() if part.kind == "heads")
    assert abs(left - best) == min(abs(heads - best) for heads in tried)
    assert len(tried) <= SPLITS
    # from as few heads as there may be to as many as the budget pays for
    assert (min(tried), max(tried)) == (2, 6)


def test_of_equals_the_middle_is_taken() -> None:
    widths = widths_by_trial(RANKINGS, COSTS, LIMITS, BUDGET, lambda _: 1.0)
    assert 3 <= sum(n for part, n in widths.items() if part.kind == "heads") <= 5


def test_units_stay_by_their_own_list() -> None:
    seen = []
    widths_by_trial(RANKINGS, COSTS, LIMITS, BUDGET, lambda kept: seen.append(kept) or 0.0)
    for kept in seen:
        for part, mask in kept.items():
            # the last ones are the most important ones here
            assert mask.tolist() == sorted(mask.tolist()), part
