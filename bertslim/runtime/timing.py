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


def host_turn(
    run: Callable[[], object], batches: int = 1, clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Make a turn of something that runs some batches; it is timed by the host's clock.

    A turn is one run that is not timed and one that is: the first brings the candidate's weights
    back into the caches and outlasts the threads of the candidate before, which spin on for
    milliseconds.
    """

    def turn() -> float:
        run()
        begin = clock()
        run()
        return (clock() - begin) * 1000 / batches

    return turn


def take_turns(
    turns: Mapping[Name, Callable[[], float]],
    budget: Budget,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Let all candidates take turns (A B C, A B C, ...); return each one's times.

    Every candidate gets the same number of rounds, so the times pair up round by round.

    Args:
        turns: Each runs one candidate and returns its milliseconds for a batch.
        budget: How long.
        clock: Of the host, in seconds.
    """
    times: dict[Name, list[float]] = {name: [] for name in turns}
    for _ in range(budget.warm_up):
        for turn in turns.values():
            turn()
    deadline = clock() + budget.seconds * len(turns)
    rounds = 0
    while rounds < budget.least_rounds or clock() < deadline:
        for name, turn in turns.items():
            times[name].append(turn())
        rounds += 1
    return times


def time_rounds(
    candidates: Mapping[Name, Callable[[], object]],
    budget: Budget,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Run all candidates in turns, timed by the host's clock; see `take_turns`."""
    turns = {name: host_turn(run, clock=clock) for name, run in candidates.items()}
    return take_turns(turns, budget, clock)


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
