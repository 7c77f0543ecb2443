"""Latency by batch size: what more sequences at a time cost."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from bertslim.picture.style import count_in_powers
from bertslim.runtime.picture.style import colours, marker
from bertslim.runtime.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_batches(panel: "Axes", rows: Sequence[Row], all_rows: Sequence[Row]) -> None:
    """Draw timed rows of one length, a line for each engine; `all_rows` decide the colours."""
    colour_of = colours(all_rows)
    ordered = sorted(rows, key=_engine)
    for _, engine in groupby(ordered, key=_engine):
        of_engine = sorted(engine, key=lambda row: row.shape.batch_size)
        points = [(row.shape.batch_size, row.latency.p50) for row in of_engine if row.latency]
        first = of_engine[0]
        colour = colour_of[first.checkpoint]
        style = marker(first.runtime, first.precision, colour)
        panel.plot(*zip(*points, strict=True), color=colour, lw=1.2, **style)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    sizes = sorted({row.shape.batch_size for row in rows})
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.minorticks_off()
    count_in_powers(panel.yaxis)
    panel.grid()
    panel.set_xlabel("sequences in a batch")
    panel.set_ylabel("median of a batch, ms")


def _engine(row: Row) -> tuple[str, str, str]:
    return row.checkpoint, row.runtime, row.precision
