"""The columns of numbers that a comparison is shown with, on a screen and on a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bertslim.runtime.rows import Row
from bertslim.runtime.timing import Latency


class Room(IntEnum):
    """How much room a column wants before it is shown."""

    NARROW = 0
    """A terminal of 80 characters."""
    WIDE = 1
    """One of 100 or more, or a file."""
    PAGE = 2
    """A page that scrolls."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of numbers."""

    title: str
    meaning: str
    cell: Callable[[Row, Latency], str]
    room: Room = Room.NARROW


def columns(rows: Sequence[Row], room: Room) -> list[Column]:
    """Choose the columns that these rows have numbers for, and that there is room for."""
    metric = next((row.accuracy.metric for row in rows if row.accuracy), None)
    weighed = any(row.peak_bytes and row.latency for row in rows)
    chosen = [
        *([Column(metric, METRIC, _accuracy), INTERVAL] if metric else []),
        *MEASURES,
        *([PEAK] if weighed else []),
        LOADING,
    ]
    return [column for column in chosen if column.room <= room]


def number(value: float) -> str:
    """Three digits or so: 0.123, 1.23, 12.3, 123, 1234."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def size_of(row: Row) -> str:
    """Say how large a checkpoint is, and how long its rows are where they are not all alike."""
    words = [f"{number(row.parameters / 1e6)} M parameters", f"{number(row.size_bytes / 1e6)} MB"]
    if row.lengths.padding:
        lengths = row.lengths
        words.append(f"{lengths.mean:.1f} tokens, at most {lengths.longest}")
        words.append(f"{lengths.padding:.0%} padding")
    return ", ".join(words)


def _accuracy(row: Row, _: Latency) -> str:
    return f"{row.accuracy.value:.4f}" if row.accuracy else ""


def _interval(row: Row, _: Latency) -> str:
    return f"{row.accuracy.low:.3f}-{row.accuracy.high:.3f}" if row.accuracy else ""


def _peak(row: Row, _: Latency) -> str:
    return number(row.peak_bytes / 1e6) if row.peak_bytes else ""


METRIC = "the task's metric on its validation data, computed by this engine"
INTERVAL = Column("95 % CI", "confidence interval of the metric", _interval, Room.WIDE)
MEASURES = (
    Column(
        "p50 ms",
        "median time for one batch; ~ marks times that vary by more than 10 %",
        lambda _, t: f"{'~' if t.noisy else ''}{number(t.p50)}",
    ),
    Column("p90 ms", "90th percentile of it", lambda _, t: number(t.p90), Room.PAGE),
    Column("p95 ms", "95th percentile", lambda _, t: number(t.p95)),
    Column("p99 ms", "99th percentile", lambda _, t: number(t.p99), Room.PAGE),
    Column(
        "CV",
        "standard deviation of the times over their mean",
        lambda _, t: f"{t.variation:.1%}",
        Room.PAGE,
    ),
    Column(
        "seq/s", "sequences per second, by the median", lambda _, t: number(t.sequences_per_second)
    ),
    Column(
        "ratio",
        "how many times as fast as the first row that was timed, in the median over the rounds",
        lambda _, t: f"{t.speedup:.2f}",
    ),
    Column(
        "10-90 %",
        "10th and 90th percentile of the same ratio",
        lambda _, t: f"{t.speedup_low:.2f}-{t.speedup_high:.2f}",
        Room.WIDE,
    ),
    Column(
        "max diff",
        "largest absolute difference of an output from PyTorch fp32 of the same checkpoint",
        lambda row, _: f"{row.difference:.0e}",
    ),
)
PEAK = Column(
    "peak MB",
    "most memory of a process that loads the engine and runs this shape; for a GPU, on the device",
    _peak,
)
LOADING = Column(
    "load s",
    "from the model, or a deployment's graph, to an engine that can run",
    lambda row, _: number(row.build_seconds or 0),
    Room.WIDE,
)
