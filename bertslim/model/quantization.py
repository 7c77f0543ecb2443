"""What int8 needs to know of a model: plain data that calibration makes and the graph is drawn by.

Paths are the model's own module names (`bert.layers.3.ffn.output`). A scheme is symmetric or not by
the target; what is kept here serves both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

LEVELS = 127
"""Largest int8 code: the grid is symmetric, and -128 stays unused (Migacz 2017)."""

UNSIGNED_LEVELS = 255
"""Largest uint8 code."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a tensor's values lie once they are clipped; 0 is always inside."""

    low: float
    high: float

    @property
    def magnitude(self) -> float:
        """Threshold of the symmetric scheme, |x| <= magnitude."""
        return max(-self.low, self.high)

    @property
    def scale(self) -> float:
        """Step of the symmetric scheme: real = scale * int8."""
        return self.magnitude / LEVELS

    @property
    def unsigned(self) -> tuple[float, int]:
        """Step and zero point of the unsigned scheme: real = step * (uint8 - zero point)."""
        step = (self.high - self.low) / UNSIGNED_LEVELS
        return step, round(-self.low / step)


LEAST_STEP = 2.0**-20
"""A smaller one would be lost in fp16."""
PROBABILITIES = Range(0.0, 1.0)
"""Of a softmax, whatever the data."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """Which matrix products compute in int8, and with which ranges."""

    inputs: Mapping[str, Range]
    """By the path of a linear layer: what goes into it. A layer that is not here stays in float."""
    products: Mapping[str, Range] = field(default_factory=dict)
    """By the paths of queries, keys and values: what comes out of them. The two products inside an
    attention compute in int8 if all three of its layer are here."""
    smoothing: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By the path of a linear layer: s, (in,). It computes (x / s) (W * s)^T, and `inputs` holds
    the range of x / s. Linear layers with the same input have the same s."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """By the path of what stays in float, a linear layer, an attention with its two products, or
    the word embeddings: why."""
    embedding: bool = True
    """Whether the word embedding table is kept in int8, one scale for each word."""
