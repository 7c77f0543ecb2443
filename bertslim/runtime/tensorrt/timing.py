"""Times on the GPU's own clock: what is measured, and how trtexec condenses it.

After NVIDIA/TensorRT, samples/common/sampleReporting.cpp. A query is a whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

UNSTABLE = 0.025
"""trtexec advises to lock the clocks from this coefficient of variation on."""
ENQUEUE_BOUND = 0.8
"""Share of the run's time from which on enqueueing may be what takes the time."""


@dataclass(frozen=True, slots=True)
class Switches:
    """What makes times incomparable if it differs; trtexec changed its defaults with 11.0."""

    graph: bool = True
    """Launched as a CUDA graph."""
    transfers: bool = True
    """Inputs and outputs are copied in every query."""
    spin: bool = True
    """The host asks again and again whether a query is done, instead of sleeping."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long is measured."""

    warm_up_ms: float = 200
    seconds: float = 3
    queries: int = 100
    """At least so many, even if the seconds are over."""


@dataclass(frozen=True, slots=True)
class Query:
    """Milliseconds that one batch took."""

    enqueue: float
    """On the host."""
    upload: float
    compute: float
    download: float

    @property
    def latency(self) -> float:
        """From the first byte of the inputs to the last byte of the outputs."""
        return self.upload + self.compute + self.download


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one series, in milliseconds."""

    least: float
    most: float
    mean: float
    median: float
    p90: float
    p95: float
    p99: float
    variation: float
    """Coefficient of variation: standard deviation (n) over mean."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured, raw."""

    switches: Switches
    """As they were in force: a graph that could not be captured is none."""
    queries: tuple[Query, ...]
    wall_seconds: float
    """From the first enqueueing to the end of the last query."""
    not_captured: str = ""
    """Why there was no CUDA graph although one was asked for."""
    batches_per_second: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches_per_second", len(self.queries) / self.wall_seconds)

    def series(self, name: str) -> Statistics:
        """Condense `enqueue`, `upload`, `compute`, `download` or `latency`."""
        return statistics([getattr(query, name) for query in self.queries])

    def warnings(self) -> tuple[str, ...]:
        """What trtexec would warn of."""
        medians = {name: self.series(name).median for name in ("enqueue", "upload", "download")}
        compute = self.series("compute")
        found = []
        if medians["enqueue"] > ENQUEUE_BOUND * compute.median:
            found.append("enqueueing takes about as long as the GPU computes")
        if medians["upload"] >= compute.median or medians["download"] >= compute.median:
            found.append("copying takes longer than the GPU computes")
        if compute.variation > UNSTABLE:
            found.append(f"times vary by {compute.variation:.1%}: lock the GPU's clocks")
        return tuple(found)


def joined(parts: Sequence[Measurement]) -> Measurement:
    """Put together what was measured in turns with other engines."""
    return Measurement(
        switches=parts[0].switches,
        queries=tuple(query for part in parts for query in part.queries),
        wall_seconds=sum(part.wall_seconds for part in parts),
        not_captured=parts[0].not_captured,
    )


def statistics(times: Sequence[float]) -> Statistics:
    """Condense a series as trtexec does."""
    ordered = sorted(times)
    mean = float(np.mean(ordered))
    return Statistics(
        least=ordered[0],
        most=ordered[-1],
        mean=mean,
        median=float(np.median(ordered)),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        variation=float(np.std(ordered)) / mean if mean else 0.0,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return t[max(N - 1 - int((1 - p / 100) N), 0)] of N ascending times: no interpolation.

    trtexec computes the index in single precision, which decides where (1 - p / 100) N is whole.
    """
    share = np.float32(1) - np.float32(percent) / np.float32(100)
    excluded = int(share * np.float32(len(ordered)))
    return ordered[max(len(ordered) - 1 - excluded, 0)]
