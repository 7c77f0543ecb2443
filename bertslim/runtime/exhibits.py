"""Which pictures of a comparison a page shows, each drawn narrow enough for a phone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bertslim.picture.style import STYLE
from bertslim.runtime.breakdown import Breakdown
from bertslim.runtime.picture import as_svg, batches, breakdown, style, tradeoff
from bertslim.runtime.rows import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.2, 3.3
"""Inches of a picture without its legend."""
LETTERS_SIZE = 13.5
"""Points: 16 pixels where a phone is 390 wide."""
LINE = 0.3
"""Inches for a line of the legend."""
LETTERS = 30
"""So many fit beside each other in a legend of two columns."""
LONGEST_LABEL = 36
"""So many fit above a bar."""
ON_A_PAGE: dict[Any, Any] = {**STYLE, "font.size": LETTERS_SIZE, "svg.fonttype": "none"}


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One picture of a page."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to draw."""

    title: str
    draw: "Callable[[Axes], None] | None"
    """None: there is nothing but a legend."""
    handles: "Sequence[Artist]" = ()
    height: float = HEIGHT


def exhibits(comparison: Comparison) -> list[Exhibit]:
    """Draw all pictures that there are numbers for."""
    points = [*_tradeoffs(comparison), *_batches(comparison)]
    drawings = [*_key(comparison, points), *points, *_breakdown(comparison)]
    return [_exhibit(f"picture-{number}", drawing) for number, drawing in enumerate(drawings)]


def _key(comparison: Comparison, points: Sequence[Drawing]) -> Iterator[Drawing]:
    """Explain, once for all, the colours and markers of all pictures with points."""
    rows = [row for row in comparison.rows if row.latency]
    scored = tradeoff.drawable(rows)
    known = tradeoff.tradeoff_handles(scored) if scored else style.handles_of(rows)
    if points:
        yield Drawing("Colours and markers", None, known, height=0.1)


def _tradeoffs(comparison: Comparison) -> Iterator[Drawing]:
    """Accuracy against latency, a picture for each shape."""
    rows = tradeoff.drawable(comparison.rows)
    for shape in dict.fromkeys(row.shape for row in rows):
        of_shape = [row for row in rows if row.shape == shape]

        def draw(panel: "Axes", drawn: Sequence[Row] = of_shape) -> None:
            tradeoff.draw_tradeoff(panel, drawn, rows)
            panel.set_ylabel(tradeoff.axis_title(rows))

        yield Drawing(f"Accuracy against latency, batch {shape}", draw)


def _batches(comparison: Comparison) -> Iterator[Drawing]:
    """Latency by batch size, a picture for each length."""
    rows = [row for row in comparison.rows if row.latency]
    for length in dict.fromkeys(row.shape.length for row in rows):
        of_length = [row for row in rows if row.shape.length == length]
        if len({row.shape.batch_size for row in of_length}) < 2:
            continue

        def draw(panel: "Axes", drawn: Sequence[Row] = of_length) -> None:
            batches.draw_batches(panel, drawn, rows)

        yield Drawing(f"Latency by batch size, length {length}", draw)


def _breakdown(comparison: Comparison) -> Iterator[Drawing]:
    bars = comparison.breakdowns
    if bars:
        labels = [_label(bar, comparison.rows) for bar in bars]
        yield Drawing(
            f"Where the time goes, batch {bars[0].shape}",
            lambda panel: breakdown.draw_breakdown(panel, bars, labels),
            breakdown.breakdown_handles(),
            height=0.9 + 0.62 * len(bars),
        )


def _label(bar: Breakdown, rows: Sequence[Row]) -> str:
    """Name an engine; of names that are too long the end is what tells them apart."""
    text = f"{style.short(bar.checkpoint, rows)}, {bar.runtime} {bar.precision}"
    return text if len(text) <= LONGEST_LABEL else f"…{text[1 - LONGEST_LABEL :]}"


def _exhibit(name: str, drawing: Drawing) -> Exhibit:
    labels = [str(handle.get_label()) for handle in drawing.handles]
    columns = 2 if 2 * max(map(len, labels), default=0) < LETTERS else 1
    height = drawing.height + LINE * -(-len(labels) // columns)
    with mpl.rc_context(ON_A_PAGE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        if drawing.draw:
            drawing.draw(figure.subplots())
        if drawing.handles:
            figure.legend(handles=drawing.handles, loc="outside lower left", ncols=columns)
        return Exhibit(drawing.title, as_svg(figure, name, drawing.title))
