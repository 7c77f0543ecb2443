"""What a comparison measures, and how; light enough to be checked before torch is imported."""

from dataclasses import dataclass
from itertools import product

from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.timing import Budget


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how."""

    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    engine: EngineSettings
    budget: Budget
    seed: int
    """Of the random words that are timed."""

    def shapes(self) -> list[tuple[int, int]]:
        """Every (batch size, length)."""
        return list(product(self.batch_sizes, self.lengths))
