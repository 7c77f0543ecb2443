"""Accuracy against latency: what each millisecond buys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bertslim.errors import SettingsError
from bertslim.picture.style import GREY, STYLE, count_in_powers
from bertslim.runtime.columns import number
from bertslim.runtime.picture.style import colours, handles_of, marker
from bertslim.runtime.rows import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRONT: dict[str, Any] = {"lw": 1.1, "ls": (0, (4, 3))}
LOGARITHMIC_FROM = 4.0
"""Ratio of slowest to fastest from which the time axis is logarithmic."""
LEFT_OF_FASTEST = 0.4
"""Room on a logarithmic axis before the fastest point, as a share of what lies behind it."""


def draw(comparison: Comparison, file: Path) -> None:
    """Write the picture, one panel for each shape; the extension gives the format (png, svg, pdf).

    Raises:
        SettingsError: If no row has both an accuracy and a latency, or the extension is unknown.
    """
    rows = drawable(comparison.rows)
    if not rows:
        raise SettingsError("no row has both accuracy and latency to draw")
    shapes = list(dict.fromkeys(row.shape for row in rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 + 5.4 * len(shapes), 4.6), dpi=160, layout="constrained")
        panels = figure.subplots(1, len(shapes), squeeze=False, sharey=True)[0]
        for panel, shape in zip(panels, shapes, strict=True):
            draw_tradeoff(panel, [row for row in rows if row.shape == shape], rows)
            panel.set_title(f"batch {shape}")
        panels[0].set_ylabel(axis_title(rows))
        handles = tradeoff_handles(rows)
        figure.legend(handles=handles, loc="outside right center", labelspacing=0.9)
        figure.savefig(file)


def drawable(rows: Sequence[Row]) -> list[Row]:
    """Choose the rows that have both accuracy and latency."""
    return [row for row in rows if row.accuracy and row.latency]


def axis_title(rows: Sequence[Row]) -> str:
    """Say what is drawn upwards."""
    metric = next((row.accuracy.metric for row in rows if row.accuracy), "")
    return f"{metric}, 95 % confidence"


def draw_tradeoff(panel: "Axes", rows: Sequence[Row], all_rows: Sequence[Row]) -> None:
    """Draw rows of one shape; `all_rows` decide the colours."""
    colour_of = colours(all_rows)
    for row in rows:
        _draw_point(panel, row, colour_of[row.checkpoint])
    _draw_front(panel, [_point(row) for row in rows])
    _write_speedups(panel, rows)
    _scale_time(panel, [_point(row)[0] for row in rows])
    panel.yaxis.set_major_locator(MaxNLocator(6))
    panel.margins(y=0.16)
    panel.grid()
    panel.set_xlabel("median latency of a batch, ms")


def tradeoff_handles(rows: Sequence[Row]) -> list[Line2D]:
    """Explain colours, best checkpoint first, then markers, then the line."""
    names = sorted(colours(rows), key=lambda name: -_best(rows, name))
    front = Line2D([], [], color=GREY, label="best trade-offs", **FRONT)
    return [*handles_of(rows, names), front]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the (latency, accuracy) points that no other beats in both, fastest first."""
    front: list[tuple[float, float]] = []
    for latency, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def _draw_point(panel: "Axes", row: Row, colour: str) -> None:
    x, y = _point(row)
    low, high = (row.accuracy.low, row.accuracy.high) if row.accuracy else (y, y)
    style: dict[str, Any] = {"color": colour, "zorder": 3}
    panel.errorbar(
        [x], [y], yerr=[[y - low], [high - y]], elinewidth=1, capsize=2, alpha=0.5, **style
    )
    panel.plot([x], [y], ls="", zorder=4, **marker(row.runtime, row.precision, colour))


def _draw_front(panel: "Axes", points: Sequence[tuple[float, float]]) -> None:
    """A staircase: to be as good as a step one must be as slow as its beginning."""
    x, y = zip(*pareto_front(points), strict=True)
    slowest = max(latency for latency, _ in points)
    panel.step([*x, slowest], [*y, y[-1]], where="post", color=GREY, **FRONT)


def _write_speedups(panel: "Axes", rows: Sequence[Row]) -> None:
    """Say on the front how many times as fast as the first row; the room above it is free."""
    front = pareto_front([_point(row) for row in rows])
    for row in rows:
        if row.latency and _point(row) in front:
            panel.annotate(
                f"{number(row.latency.speedup)}x",
                _point(row),
                xytext=(-7, 5),
                textcoords="offset points",
                ha="right",
            )


def _scale_time(panel: "Axes", latencies: Sequence[float]) -> None:
    """Start at 0 where that is legible, otherwise count in powers."""
    fastest, slowest = min(latencies), max(latencies)
    if slowest / fastest < LOGARITHMIC_FROM:
        panel.set_xlim(0, slowest * 1.15)
        return
    panel.set_xscale("log")
    # the number beside the fastest point is as wide as a fifth of a picture for a phone
    shown = slowest * 1.6 / fastest
    panel.set_xlim(fastest / shown**LEFT_OF_FASTEST, slowest * 1.6)
    count_in_powers(panel.xaxis)


def _best(rows: Sequence[Row], checkpoint: str) -> float:
    return max(_point(row)[1] for row in rows if row.checkpoint == checkpoint)


def _point(row: Row) -> tuple[float, float]:
    return (row.latency.p50 if row.latency else 0.0, row.accuracy.value if row.accuracy else 0.0)
