"""How the magnitudes of a tensor are distributed, kept while its values pass by in parts."""

import math

import torch
from torch import Tensor

BINS = 2**16
"""Many more than thresholds are searched among, so that these may lie in bins of any width."""

SMALLEST = 2.0**-13
"""The range that every histogram starts with; int8 steps of a smaller one are lost in fp16."""

PART = 2**18
"""Values at a time: what is made of them on the way stays in a CPU's cache."""

LARGEST = 2.0**100
"""What is above is as good as infinite."""


class Histogram:
    """Counts |x| in bins of equal width from 0 to a power of two; memory does not grow with use.

    A larger value doubles the range, and pairs of bins become one. Powers of two scale exactly, so
    the counts are the same however the values are divided and ordered.

    Attributes:
        counts: (BINS,), int64.
        limit: Where the last bin ends; all |x| are below it.
        low: Smallest x so far.
        high: Largest x so far.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.int64)
        self.limit = SMALLEST
        self.low, self.high = math.inf, -math.inf

    @property
    def peak(self) -> float:
        """Largest |x| so far; 0 before there is any."""
        return max(-self.low, self.high, 0.0)

    def add(self, x: Tensor) -> None:
        """Count the values of a tensor of any shape.

        Raises:
            OverflowError: If one of them is not a finite number, or as good as infinite.
        """
        if x.numel() == 0:
            return
        low, high = (float(end) for end in torch.aminmax(x))
        # NaN would be both ends, and in no order with anything
        if not -LARGEST < low <= high < LARGEST:
            raise OverflowError(f"values from {low} to {high}")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow()
        for part in torch.split(x.flatten(), PART):
            # bin = floor(|x| * BINS / limit); bincount is fastest on int32
            bins = part.float().abs().mul_(BINS / self.limit).to(torch.int32)
            self.counts += torch.bincount(bins, minlength=BINS).cpu()

    def _grow(self) -> None:
        """Double the range k times, until all values are below its end: 2^k bins become one."""
        k = math.frexp(self.peak / self.limit)[1]
        if self.peak > 0 and k > 0:
            merged = self.counts.view(-1, min(2**k, BINS)).sum(dim=1)
            self.counts = torch.zeros_like(self.counts)
            self.counts[: len(merged)] = merged
            self.limit *= 2.0**k
