"""What a comparison found: a row for each checkpoint, runtime, precision and shape."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from bertslim.runtime.breakdown import Breakdown
from bertslim.runtime.machine import Machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.shape import Lengths, Shape
from bertslim.runtime.timing import Latency

if TYPE_CHECKING:
    from bertslim.train.prediction import Score

FORMAT = 2
"""Version of the saved comparison; raised when a field changes its meaning."""

Outcome = Literal["timed", "differs", "unavailable"]
"""`differs`: the engine computes something else than the model; `unavailable`: there is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One checkpoint on one runtime in one precision at one shape."""

    checkpoint: str
    runtime: str
    precision: str
    shape: Shape
    lengths: Lengths
    """Of the sequences that are timed."""
    parameters: int
    flops: int
    """For one sequence, padding included."""
    size_bytes: int
    """On disk: of the weights, or of a deployment's graph."""
    build_seconds: float | None
    peak_bytes: int | None
    """Most memory that a process took which loaded the engine and ran this shape; None if that was
    not measured."""
    difference: float | None
    """Largest absolute difference from PyTorch fp32 of the same checkpoint; None without an
    engine, or if an output is not a finite number."""
    allowed_difference: float | None
    """None without an engine."""
    accuracy: "Score | None"
    latency: Latency | None
    outcome: Outcome
    reason: str
    """Why there is no latency; empty if there is."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, in the order asked for, and what the times depend on."""

    rows: tuple[Row, ...]
    breakdowns: tuple[Breakdown, ...]
    """Where the time goes, of the runtimes that tell; none unless it was asked for."""
    plan: Plan
    machine: Machine
    created: str
    """When it began: ISO 8601, UTC."""

    def as_json(self) -> dict[str, Any]:
        """Everything, raw times included, as JSON can hold it."""
        return {"format": FORMAT, **asdict(self)}
