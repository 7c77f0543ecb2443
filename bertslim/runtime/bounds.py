"""Bounds for CI: what the checkpoints after the first must reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bertslim.runtime.rows import Row
from bertslim.runtime.timing import Latency
from bertslim.train.drop import within


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds; None is no bound."""

    max_drop: float | None
    """How much lower than the first checkpoint's the metric may be."""
    min_speedup: float | None
    """How many times as fast as the first checkpoint, by the median over the rounds."""
    max_p95_ms: float | None
    """Also holds for a checkpoint that is alone."""

    @property
    def any(self) -> bool:
        """Whether there is a bound at all."""
        return (self.max_drop, self.min_speedup, self.max_p95_ms) != (None, None, None)


def missed_bounds(rows: Sequence[Row], bounds: Bounds, precision: str) -> list[str]:
    """Say, bound by bound, which row misses it and what it has.

    A row without times misses all, but for engines that were built for a GPU which is not here: of
    those nothing is known, and `never_timed` names them.

    Args:
        rows: Of the first checkpoint, and of those that are compared with it.
        bounds: What these must reach.
        precision: Of the first checkpoint's rows that others are compared with where it has none in
            their own.
    """
    if not bounds.any:
        return []
    firsts = [row for row in rows if row.checkpoint == rows[0].checkpoint]
    known = [row for row in _judged(rows) if row.outcome != "built"]
    found = (m for row in known for m in _missed(row, baseline(row, firsts, precision), bounds))
    # a drop is the same at every shape, and said once
    return list(dict.fromkeys(found))


def never_timed(rows: Sequence[Row], bounds: Bounds, *, require: bool) -> list[str]:
    """Name the rows that should have been timed and could not be.

    Those are all rows if timing is required, otherwise the engines that bounds are set for and that
    were built for a GPU which is not here.
    """
    wanted = [row for row in _judged(rows) if row.outcome == "built"] if bounds.any else []
    if require:
        wanted = [row for row in rows if row.outcome in ("built", "unavailable")]
    return [f"{shaped_label(row)} was not timed: {row.reason}" for row in wanted]


def baseline(row: Row, firsts: Sequence[Row], precision: str) -> Row | None:
    """Choose the first checkpoint's row of the same shape that a row is compared with.

    That is the one on the same runtime, in the same precision or else in the one named. A first
    checkpoint that was deployed has a single engine, which is compared with all others.
    """
    found = {(f.runtime, f.precision): f for f in firsts if f.shape == row.shape}
    if len(found) == 1:
        return next(iter(found.values()))
    own = (row.runtime, row.precision)
    return found.get(own) or found.get((row.runtime, precision))


def disagreements(rows: Sequence[Row]) -> list[str]:
    """Name the rows whose engine computes something else than the model."""
    return [f"{shaped_label(row)} {row.reason}" for row in rows if row.outcome == "differs"]


def label(row: Row) -> str:
    """Name a row's engine."""
    return f"{row.checkpoint} on {row.runtime} {row.precision}"


def shaped_label(row: Row) -> str:
    """Name a row."""
    return f"{label(row)}, {row.shape},"


def _judged(rows: Sequence[Row]) -> list[Row]:
    """The rows of all checkpoints but the first, or of the only one."""
    return [row for row in rows if row.checkpoint != rows[0].checkpoint] or list(rows)


def _missed(row: Row, first: Row | None, bounds: Bounds) -> Iterator[str]:
    if row.latency is None:
        yield f"{shaped_label(row)} was not timed: {row.reason}"
        return
    if bounds.max_drop is not None:
        yield from _drop(row, first, bounds.max_drop)
    if bounds.min_speedup is not None:
        yield from _slowness(row, row.latency, first, bounds.min_speedup)
    if bounds.max_p95_ms is not None and row.latency.p95 > bounds.max_p95_ms:
        flag = f"--max-p95-ms {bounds.max_p95_ms:g}"
        yield f"{flag}: {shaped_label(row)} has a p95 of {row.latency.p95:.2f} ms"


def _drop(row: Row, first: Row | None, bound: float) -> Iterator[str]:
    flag = f"--max-drop {bound:g}"
    if row.accuracy is None or first is None or first.accuracy is None:
        yield f"{flag}: {label(row)} has no metric to compare"
        return
    before, after = first.accuracy.value, row.accuracy.value
    if not within(before, after, bound):
        drop = before - after
        yield f"{flag}: {label(row)} loses {drop:.4f} {row.accuracy.metric} against {label(first)}"


def _slowness(row: Row, latency: Latency, first: Row | None, bound: float) -> Iterator[str]:
    flag = f"--min-speedup {bound:g}"
    if first is None or first.latency is None:
        why = first.reason if first else "the first checkpoint does not run there"
        yield f"{flag}: {shaped_label(row)} has nothing to be faster than: {why}"
        return
    ratios = np.asarray(first.latency.times) / np.asarray(latency.times)
    speedup = float(np.median(ratios))
    if speedup < bound:
        than = label(first)
        yield f"{flag}: {shaped_label(row)} is {speedup:.2f} times as fast as {than}"
