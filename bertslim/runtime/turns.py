"""What an engine does when it is its turn, timed by the host's clock or by the GPU's."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Protocol, runtime_checkable

from bertslim.runtime.engine import Batch, Engine
from bertslim.runtime.tensorrt.timing import Budget, Measurement, Switches, joined
from bertslim.runtime.timing import NOISY, Latency, host_turn, summarise

GPU_TURN = Budget(warm_up_ms=50, seconds=0.25, queries=10)
"""Of one batch in one round; the rounds add up to what NVIDIA's trtexec measures."""


@runtime_checkable
class HasClock(Protocol):
    """An engine that times itself, since the host's clock would not tell."""

    def measure(self, batch: Batch, switches: Switches, budget: Budget) -> Measurement:
        """Time a batch."""
        ...


@dataclass(frozen=True, slots=True)
class Racer:
    """An engine, and the batches that it runs in its turns."""

    engine: Engine
    batches: Sequence[Batch]
    parts: list[Measurement] = field(default_factory=list)
    """What an engine's own clock said, batch by batch; empty where it has none."""

    def turn(self) -> Callable[[], float]:
        """Return what takes a turn and tells its milliseconds for a batch."""
        if isinstance(self.engine, HasClock):
            return functools.partial(self._measured, self.engine)
        return host_turn(self._run, len(self.batches))

    def measurement(self, rounds: int) -> Measurement | None:
        """Put together what the engine's own clock said in the last rounds, warm-up left out."""
        return joined(self.parts[-rounds * len(self.batches) :]) if self.parts else None

    def latency(self, times: Sequence[float], first: Sequence[float], batch_size: int) -> Latency:
        """Condense the times; with a clock of its own, those of single queries.

        The ratio is that of the rounds, in which all engines took their turns.
        """
        rounds, own = summarise(times, first, batch_size), self.measurement(len(times))
        if own is None:
            return rounds
        found = own.series("latency")
        return replace(
            rounds,
            mean=found.mean,
            p50=found.median,
            p90=found.p90,
            p95=found.p95,
            p99=found.p99,
            variation=found.variation,
            sequences_per_second=batch_size * 1000 / found.median,
            noisy=found.variation > NOISY,
        )

    def _run(self) -> None:
        for batch in self.batches:
            self.engine.run(batch)

    def _measured(self, clock: HasClock) -> float:
        found = [clock.measure(batch, Switches(), GPU_TURN) for batch in self.batches]
        self.parts.extend(found)
        return mean(part.series("latency").median for part in found)
