"""In which order heads go: scored anew again and again, ranked once, or by chance."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Literal

import torch
from torch import Tensor

from bertslim.methods.prune_heads.ranking import Head, least_important, normalised, without

OrderKind = Literal["iterative", "once"]

Scorer = Callable[[Sequence[Tensor]], list[Tensor]]
"""Per layer (heads,), False where removed -> importance of those that are there."""


class Walk:
    """An order of heads, worked out only as far as somebody asks."""

    def __init__(self, heads: Iterator[Head]) -> None:
        self._coming, self._known = heads, list[Head]()

    def first(self, count: int) -> list[Head]:
        """Return the heads that go first; fewer where no more can go."""
        self._known += islice(self._coming, max(0, count - len(self._known)))
        return self._known[:count]


def tenths(heads: int) -> list[int]:
    """Return how many heads are 0, 10, ... 100 % of all; each number once."""
    return sorted({round(heads * tenth / 10) for tenth in range(11)})


def iterative_order(score: Scorer, kept: Sequence[Tensor], keep_at_least: int) -> Iterator[Head]:
    """Yield heads, least important first; at every tenth of all, the rest is scored anew (4.2)."""
    left = list(kept)
    for start, stop in pairwise(tenths(sum(len(mask) for mask in kept))):
        scores = normalised(score(left), left)
        chosen = list(least_important(scores, left, stop - start, keep_at_least))
        yield from chosen
        left = without(left, chosen)


def once_order(score: Scorer, kept: Sequence[Tensor], keep_at_least: int) -> Iterator[Head]:
    """Yield heads, least important first, as the whole model's gradients have it."""
    total = sum(len(mask) for mask in kept)
    yield from least_important(normalised(score(kept), kept), kept, total, keep_at_least)


def random_order(kept: Sequence[Tensor], keep_at_least: int, seed: int) -> Iterator[Head]:
    """Yield heads in an order that only the seed determines."""
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.rand(len(mask), generator=generator) for mask in kept]
    total = sum(len(mask) for mask in kept)
    yield from least_important(scores, kept, total, keep_at_least)


ORDERS: dict[OrderKind, Callable[[Scorer, Sequence[Tensor], int], Iterator[Head]]] = {
    "iterative": iterative_order,
    "once": once_order,
}
