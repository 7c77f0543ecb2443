"""The sizes of a batch that is timed; light enough to be checked before torch is imported."""

from dataclasses import dataclass
from typing import Literal

TASK: Literal["task"] = "task"
"""The length of batches whose rows are a task's own."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many sequences of how many tokens."""

    batch_size: int
    length: int | Literal["task"]
    """Tokens of every sequence; `task`: as the rows of the task come, padded to their longest."""

    @property
    def title(self) -> str:
        """As the head of a table: `batch 8 x 128`."""
        return f"batch {self.batch_size} x {self.length}"

    def __str__(self) -> str:
        what = "task rows" if self.length == TASK else f"{self.length} tokens"
        return f"{self.batch_size} x {what}"


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the sequences are that are timed, in tokens."""

    mean: float
    longest: int
    padding: float
    """Share of what is computed that is padding."""
