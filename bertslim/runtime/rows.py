"""What a comparison found: a row for each checkpoint, runtime, precision and shape."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bertslim.runtime.breakdown import Breakdown
from bertslim.runtime.machine import Machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.shape import Lengths, Shape
from bertslim.runtime.tensorrt.timing import Measurement
from bertslim.runtime.timing import Latency

if TYPE_CHECKING:
    from bertslim.train.prediction import Score

FORMAT = 2
"""Version of the saved comparison; raised when a field changes its meaning."""

Outcome = Literal["timed", "differs", "built", "unavailable"]
"""`differs`: the engine computes something else than the model; `built`: it is for a GPU that is
not here; `unavailable`: there is none."""


@dataclass(frozen=True, slots=True)
class GpuEngine:
    """What is known of an engine for a GPU."""

    sm: str
    """Compute capability of the GPU, such as "75"."""
    engine_bytes: int
    """As TensorRT stores it."""
    device_bytes: int | None
    """Weights and activations on the device; None if the builder does not tell."""
    layers: int
    seconds: float
    """That it took to build."""
    notes: tuple[str, ...]
    """What the builder did otherwise than the graph asks for, and what the GPU cannot do."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the times depend on; empty if there are none."""
    measurement: Measurement | None = None
    """Every query that was timed; None if none was."""


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
    """Most memory that a process took which loaded the engine and ran this shape, or on a GPU what
    the builder says that it takes of the device; None if that is not known."""
    difference: float | None
    """Largest absolute difference from PyTorch fp32 of the same checkpoint; None without an
    engine, or if an output is not a finite number."""
    allowed_difference: float | None
    """None without an engine."""
    accuracy: "Score | None"
    latency: Latency | None
    gpu: GpuEngine | None
    """None for engines of the CPU."""
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
        found = {"format": FORMAT, **asdict(self)}
        directory = self.plan.engine.engines
        found["plan"]["engine"]["engines"] = str(directory) if directory else None
        return found
