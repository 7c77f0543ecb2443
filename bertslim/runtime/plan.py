"""What a comparison measures, and how; light enough to be checked before torch is imported."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.shape import Shape
from bertslim.runtime.timing import Budget
from bertslim.store.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to run a checkpoint."""

    runtime: str
    precision: str
    refusal: str = ""
    """Why it is not even built; empty if it is."""
    sm: str = ""
    """Compute capability of the GPU that it was deployed for; empty if for none in particular."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how."""

    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    lengths: tuple[int | Literal["task"], ...]
    engine: EngineSettings
    budget: Budget
    seed: int
    """Of the random words, or of the choice of rows, that are timed."""
    memory: bool = True
    """Whether each engine is also run in a process of its own, to see how much memory it takes."""
    breakdown: bool = False
    """Whether runtimes are asked where their time goes."""
    any_runtime: bool = False
    """Whether the runtimes are merely those that are installed; a deployment may have another."""
    any_precision: bool = False
    """Whether the precisions are merely the default; a deployment may have another."""

    def shapes(self) -> list[Shape]:
        """Every batch size with every length."""
        return [Shape(*sizes) for sizes in product(self.batch_sizes, self.lengths)]

    def cells(self, deployment: Deployment | None) -> tuple[Cell, ...]:
        """Return how a checkpoint is run: on everything, or as what it was deployed for."""
        asked = list(product(self.runtimes, self.precisions))
        if deployment is None:
            return tuple(Cell(*pair) for pair in asked)
        sm = str(deployment.details.get("sm", ""))
        own = Cell(deployment.target, deployment.precision, sm=sm)
        fits = self.any_runtime or own.runtime in self.runtimes
        if fits and (self.any_precision or own.precision in self.precisions):
            return (own,)
        return tuple(Cell(*pair, f"made for {own.runtime} {own.precision}") for pair in asked)
