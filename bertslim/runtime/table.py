"""The comparison as text for people: a block for each shape, a line for each engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from bertslim.runtime.rows import Comparison, Row
from bertslim.runtime.timing import Latency

WIDE = 100
"""From this many characters on there is room for the spreads too."""
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column of numbers."""

    title: str
    cell: Callable[[Row, Latency], str]
    wide: bool = False
    """Left out of a narrow table."""


MEASURES = (
    Column("p50 ms", lambda _, t: f"{'~' if t.noisy else ''}{_number(t.p50)}"),
    Column("p95 ms", lambda _, t: _number(t.p95)),
    Column("seq/s", lambda _, t: _number(t.sequences_per_second)),
    Column("ratio", lambda _, t: f"{t.speedup:.2f}"),
    Column("10-90 %", lambda _, t: f"{t.speedup_low:.2f}-{t.speedup_high:.2f}", wide=True),
    Column("max diff", lambda row, _: f"{row.difference:.0e}"),
)


def comparison_text(comparison: Comparison, width: int) -> Text:
    """Lay the comparison out for a screen of this width, in characters."""
    columns = [c for c in _columns(comparison.rows) if width >= WIDE or not c.wide]
    widths = _widths(comparison.rows, columns)
    text = Text()
    for shape, rows in groupby(comparison.rows, lambda row: row.shape):
        titles = [shape.title, *(column.title for column in columns)]
        text.append(_aligned(titles, widths), style="bold")
        for _, engines in groupby(rows, lambda row: row.checkpoint):
            text.append_text(_checkpoint_block(list(engines), columns, widths))
        text.append("\n")
    for note in _notes(comparison):
        text.append(f"{note}\n", style="dim")
    return text


def _columns(rows: Sequence[Row]) -> list[Column]:
    metric = next((row.accuracy.metric for row in rows if row.accuracy), None)
    if metric is None:
        return list(MEASURES)
    return [Column(metric, _accuracy), Column("95 % CI", _interval, wide=True), *MEASURES]


def _checkpoint_block(
    rows: Sequence[Row], columns: Sequence[Column], widths: Sequence[int]
) -> Text:
    """A checkpoint's name and size, then its engines, each with its numbers or why it has none."""
    first = rows[0]
    size = f"{_number(first.parameters / 1e6)} M parameters, {_number(first.size_bytes / 1e6)} MB"
    text = Text.assemble((first.checkpoint, "cyan"), (f"{GAP}{size}\n", "dim"))
    for row in rows:
        if row.latency is None:
            text.append(f"{_engine(row).ljust(widths[0])}{GAP}not timed: {row.reason}\n", "yellow")
        else:
            text.append(_aligned(_cells(row, row.latency, columns), widths))
    return text


def _widths(rows: Sequence[Row], columns: Sequence[Column]) -> list[int]:
    lines = [[row.shape.title] for row in rows]
    lines = [[*line, *(column.title for column in columns)] for line in lines]
    lines += [[_engine(row), *[""] * len(columns)] for row in rows]
    lines += [_cells(row, row.latency, columns) for row in rows if row.latency]
    return [max(map(len, cells)) for cells in zip(*lines, strict=True)]


def _cells(row: Row, latency: Latency, columns: Sequence[Column]) -> list[str]:
    return [_engine(row), *(column.cell(row, latency) for column in columns)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return GAP.join([cells[0].ljust(widths[0]), *numbers]) + "\n"


def _notes(comparison: Comparison) -> Iterator[str]:
    machine = comparison.machine
    if any(row.latency and row.latency.noisy for row in comparison.rows):
        yield "~ noisy: the times vary by more than 10 %; take more --seconds or a quieter machine"
    yield "ratio: how many times as fast as the first row; max diff: from PyTorch fp32"
    threads = f"{comparison.plan.engine.threads} threads"
    yield ", ".join((machine.cpu, threads, *machine.flags))
    used = {"torch", *(row.runtime for row in comparison.rows)}
    yield ", ".join(f"{name} {v}" for name, v in machine.versions.items() if name in used)


def _engine(row: Row) -> str:
    return f"{GAP}{row.runtime} {row.precision}"


def _accuracy(row: Row, _: Latency) -> str:
    return f"{row.accuracy.value:.4f}" if row.accuracy else ""


def _interval(row: Row, _: Latency) -> str:
    return f"{row.accuracy.low:.3f}-{row.accuracy.high:.3f}" if row.accuracy else ""


def _number(value: float) -> str:
    """Three digits or so: 0.123, 1.23, 12.3, 123, 1234."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
