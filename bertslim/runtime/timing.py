"""Latency of several candidates, measured in turns so that what disturbs one disturbs all."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Name = TypeVar("Name")

NOISY = 0.10
"""A coefficient of variation above this is flagged: such percentiles are not to be quoted."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to measure; a cell is one candidate at one batch size and length."""

    seconds: float
    """Time for each cell, warm-up not included; a round that has begun is finished."""
    warm_up: int
    """Rounds whose times are thrown away: pages, caches and clock frequencies settle."""
    least_rounds: int
    """Rounds that are run even if the seconds are over."""


@dataclass(frozen=True, slots=True)
class Latency:
    """What one candidate took, in milliseconds for one batch."""

    times: tuple[float, ...]
    """Every timed round in order, so that all else here can be computed again."""
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    variation: float
    """Coefficient of variation: standard deviation (n - 1) over mean."""
    sequences_per_second: float
    """Batch size over the median time."""
    speedup: float
    """Median over the rounds of: the first candidate's time over this one's, in the same round."""
    speedup_low: float
    """10th percentile of the same."""
    speedup_high: float
    """90th percentile of the same."""
    noisy: bool
    """Whether the times scatter too much to be quoted: the variation is above `NOISY`."""


def time_rounds(
    candidates: Mapping[Name, Callable[[], object]],
    budget: Budget,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Run all candidates in turns (A B C, A B C, ...) and return each one's times in milliseconds.

    Every candidate gets the same number of rounds, so the times pair up round by round. A turn is
    one run that is not timed and one that is: the first brings the candidate's weights back into
    the caches and outlasts the threads of the candidate before, which spin on for milliseconds.
    """
    times: dict[Name, list[float]] = {name: [] for name in candidates}
    for _ in range(budget.warm_up):
        for run in candidates.values():
            run()
    deadline = clock() + budget.seconds * len(candidates)
    rounds = 0
    while rounds < budget.least_rounds or clock() < deadline:
        for name, run in candidates.items():
            run()
            begin = clock()
            run()
            times[name].append((clock() - begin) * 1000)
        rounds += 1
    return times


def summarise(times: Sequence[float], first: Sequence[float], batch_size: int) -> Latency:
    """Condense one candidate's times; `first` are the first candidate's, round by round."""
    measured, reference = np.asarray(times), np.asarray(first)
    p50, p90, p95, p99 = (float(p) for p in np.percentile(measured, (50, 90, 95, 99)))
    low, median, high = (float(p) for p in np.percentile(reference / measured, (10, 50, 90)))
    mean = float(measured.mean())
    variation = float(measured.std(ddof=1)) / mean if len(measured) > 1 else 0.0
    return Latency(
        times=tuple(float(t) for t in times),
        mean=mean,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        variation=variation,
        sequences_per_second=batch_size * 1000 / p50,
        speedup=median,
        speedup_low=low,
        speedup_high=high,
        noisy=variation > NOISY,
    )
