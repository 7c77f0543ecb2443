"""The search for the best widths, against trying all of them."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bertslim.errors import SettingsError
from bertslim.methods.prune_heads.budget import BINS, Limits, best_widths, check_budget, pays
from bertslim.methods.prune_heads.costs import Costs
from bertslim.methods.prune_heads.parts import KINDS, Part
from bertslim.methods.prune_heads.worth import Ranking, best_first

UNITS = {Part(layer, kind): 4 if kind == "heads" else 12 for layer in range(2) for kind in KINDS}
BOTH = Limits(("heads", "ffn"), 1, 4)


def rankings(seed: int) -> dict[Part, Ranking]:
    generator = torch.Generator().manual_seed(seed)
    return {part: best_first(torch.rand(n, generator=generator)) for part, n in UNITS.items()}


def costs(seed: int) -> Costs:
    """Tables that rise, but in no regular way; no unit at all is free."""
    random = np.random.default_rng(seed)
    tables = {
        part: random.random(n + 1).cumsum() * (np.arange(n + 1) > 0) for part, n in UNITS.items()
    }
    return Costs("ms", tables)


def all_widths(limits: Limits) -> Iterator[dict[Part, int]]:
    options = [limits.widths(part, n).tolist() for part, n in UNITS.items()]
    for widths in itertools.product(*options):
        yield dict(zip(UNITS, widths, strict=True))


def worth(found: dict[Part, Ranking], widths: dict[Part, int]) -> float:
    return sum(float(found[part].worth[n]) for part, n in widths.items())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.55, 0.7, 0.85])
def test_no_other_widths_within_the_budget_are_worth_more(seed: int, share: float) -> None:
    units, table = rankings(seed), costs(seed)
    budget = share * table.total
    found = best_widths(units, table, BOTH, budget)
    assert found.keys() == UNITS.keys()
    assert table.of(found) <= budget
    # what rounding to bins may have kept out of reach
    within = budget * (1 - len(UNITS) / BINS)
    best = max(worth(units, w) for w in all_widths(BOTH) if table.of(w) <= within)
    assert worth(units, found) >= best - 1e-9


def test_whole_numbers_are_spent_to_the_last() -> None:
    tables = {p: np.arange(n + 1.0) * (p.kind == "heads") for p, n in UNITS.items()}
    limits = Limits(("heads",), 1, 4)
    for heads in range(2, 9):
        found = best_widths(rankings(0), Costs("heads", tables), limits, heads)
        assert sum(n for part, n in found.items() if part.kind == "heads") == heads
        assert all(n == 12 for part, n in found.items() if part.kind == "ffn")


def test_the_whole_budget_buys_everything() -> None:
    table = costs(1)
    assert best_widths(rankings(1), table, BOTH, 1.01 * table.total) == UNITS


def test_widths_are_multiples_or_whole() -> None:
    limits = Limits(("heads", "ffn"), 2, 5)
    assert limits.widths(Part(0, "ffn"), 12).tolist() == [5, 10, 12]
    assert limits.widths(Part(0, "heads"), 4).tolist() == [2, 3, 4]
    assert limits.widths(Part(0, "heads"), 1).tolist() == [1]
    assert limits.widths(Part(0, "ffn"), 3).tolist() == [3]
    assert Limits(("heads",), 0, 5).widths(Part(0, "ffn"), 12).tolist() == [12]
    assert Limits(("heads",), 0, 5).widths(Part(0, "heads"), 2).tolist() == [0, 1, 2]


def test_heads_are_ranked_among_heads() -> None:
    """However little they are worth beside FFN units, the best ones stay, not any."""
    units = rankings(2)
    scaled = {
        p: Ranking(r.order, r.worth * (1e-6 if p.kind == "heads" else 1)) for p, r in units.items()
    }
    tables = {p: np.arange(n + 1.0) for p, n in UNITS.items()}
    found = best_widths(scaled, Costs("ms", tables), BOTH, 24.0)
    left = sum(n for part, n in found.items() if part.kind == "heads")
    alone = best_widths(
        units,
        Costs("ms", {p: t * (p.kind == "heads") for p, t in tables.items()}),
        Limits(("heads",), 1, 4),
        left,
    )
    assert [n for p, n in found.items() if p.kind == "heads"] == [
        n for p, n in alone.items() if p.kind == "heads"
    ]


def test_some_head_stays() -> None:
    """However cheap FFN units are, and however little heads are worth beside them."""
    units = rankings(3)
    poor = {
        p: Ranking(r.order, r.worth * (1e-6 if p.kind == "heads" else 1)) for p, r in units.items()
    }
    tables = {p: np.arange(n + 1.0) for p, n in UNITS.items()}
    table, limits = Costs("ms", tables), Limits(("heads", "ffn"), 0, 4)
    found = best_widths(poor, table, limits, 24.0)
    # FFN units go four at a time, which pays for as many heads
    assert sum(n for part, n in found.items() if part.kind == "heads") == 4
    dear = {p: t * (9 if p.kind == "heads" else 1) for p, t in tables.items()}
    with pytest.raises(SettingsError, match="all heads go"):
        best_widths(poor, Costs("ms", dear), limits, 8.0)


def test_a_budget_for_nothing() -> None:
    table = costs(0)
    least = BOTH.least(table)
    assert pays(table, BOTH, least * 1.01)
    assert not pays(table, BOTH, least * 0.99)
    assert not pays(table, BOTH, 0.0)
    with pytest.raises(SettingsError, match=r"of the ms are not enough: the narrowest model takes"):
        check_budget(table, BOTH, least * 0.99)
    with pytest.raises(SettingsError):
        best_widths(rankings(0), table, BOTH, least * 0.99)
