"""The comparison as text for people: a block for each shape, a line for each engine."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from bertslim.console import counted
from bertslim.runtime.bounds import label
from bertslim.runtime.columns import Column, Room, columns, number, size_of
from bertslim.runtime.rows import Comparison, Row
from bertslim.runtime.timing import Latency

WIDE = 100
"""From this many characters on there is room for the spreads too."""
GAP = "  "


def comparison_text(comparison: Comparison, width: int) -> Text:
    """Lay the comparison out for a screen of this width, in characters."""
    shown = columns(comparison.rows, Room.WIDE if width >= WIDE else Room.NARROW)
    widths = _widths(comparison.rows, shown)
    text = Text()
    for shape, rows in groupby(comparison.rows, lambda row: row.shape):
        titles = [shape.title, *(column.title for column in shown)]
        text.append(_aligned(titles, widths), style="bold")
        for _, engines in groupby(rows, lambda row: row.checkpoint):
            block = list(engines)
            text.append_text(_heading(block[0]))
            for row in block:
                if row.latency is None:
                    text.append(_untimed(row, widths[0], width), "yellow")
                else:
                    text.append(_aligned(_cells(row, row.latency, shown), widths))
        text.append("\n")
    for line in notes(comparison):
        text.append(_wrapped("", line, width), style="dim")
    return text


def _heading(row: Row) -> Text:
    """A checkpoint's name and size."""
    return Text.assemble((row.checkpoint, "cyan"), (f"{GAP}{size_of(row)}\n", "dim"))


def _untimed(row: Row, first: int, width: int) -> str:
    """An engine without numbers, and why it has none."""
    return _wrapped(f"{_engine(row).ljust(first)}{GAP}", why_untimed(row), width)


def _wrapped(before: str, text: str, width: int) -> str:
    """Break a text that is too long; what follows stands below its beginning."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=before,
        subsequent_indent=" " * max(len(before), len(GAP)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


def _widths(rows: Sequence[Row], shown: Sequence[Column]) -> list[int]:
    lines = [[row.shape.title] for row in rows]
    lines = [[*line, *(column.title for column in shown)] for line in lines]
    lines += [[_engine(row), *[""] * len(shown)] for row in rows]
    lines += [_cells(row, row.latency, shown) for row in rows if row.latency]
    return [max(map(len, cells)) for cells in zip(*lines, strict=True)]


def _cells(row: Row, latency: Latency, shown: Sequence[Column]) -> list[str]:
    return [_engine(row), *(column.cell(row, latency) for column in shown)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return GAP.join([cells[0].ljust(widths[0]), *numbers]) + "\n"


def why_untimed(row: Row) -> str:
    """Say why a row has no times, and what is known of its engine all the same."""
    if row.gpu is None or row.outcome != "built":
        return f"not timed: {row.reason}"
    megabytes = number(row.gpu.engine_bytes / 1e6)
    facts = f"SM{row.gpu.sm}, {megabytes} MB, {row.gpu.layers} layers, {row.gpu.seconds:.1f} s"
    return f"built, not timed: {row.reason} ({facts})"


def notes(comparison: Comparison) -> Iterator[str]:
    """Say what one has to know to read the numbers."""
    machine = comparison.machine
    if any(row.latency and row.latency.noisy for row in comparison.rows):
        yield "~ noisy: the times vary by more than 10 %; take more --seconds or a quieter machine"
    if machine.is_crowded(comparison.plan.engine.threads):
        yield f"others kept {machine.busy:.1f} of {len(machine.cpus)} CPUs busy when this began"
    known = (
        f"{label(row)}: {note}" for row in comparison.rows if row.gpu for note in row.gpu.notes
    )
    yield from dict.fromkeys(known)
    yield "ratio: times as fast as the first timed row; max diff: from PyTorch fp32"
    threads = counted(comparison.plan.engine.threads, "thread")
    yield ", ".join((machine.cpu, threads, *machine.flags))
    used = {"torch", *(row.runtime for row in comparison.rows)}
    yield ", ".join(f"{name} {v}" for name, v in machine.versions.items() if name in used)


def _engine(row: Row) -> str:
    return f"{GAP}{row.runtime} {row.precision}"
