"""Accuracy against latency: what each millisecond buys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bertslim.errors import SettingsError
from bertslim.runtime.rows import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart."""
MARKERS = {"torch": "o", "onnxruntime": "s", "openvino": "D"}
GREY = "#667085"
INK = "#344054"
FRONT: dict[str, Any] = {"lw": 1.1, "ls": (0, (4, 3))}
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.hashsalt": "bertslim",
}
LOGARITHMIC_FROM = 4.0
"""Ratio of slowest to fastest from which the time axis is logarithmic."""


def draw(comparison: Comparison, file: Path) -> None:
    """Write the picture, one panel for each shape; the extension gives the format (png, svg, pdf).

    Raises:
        SettingsError: If no row has both an accuracy and a latency, or the extension is unknown.
    """
    rows = [row for row in comparison.rows if row.accuracy and row.latency]
    if not rows:
        raise SettingsError("no row has both accuracy and latency to draw", "give --task")
    shapes = list(dict.fromkeys(row.shape for row in rows))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 + 5.4 * len(shapes), 4.6), dpi=160, layout="constrained")
        panels = figure.subplots(1, len(shapes), squeeze=False, sharey=True)[0]
        for panel, shape in zip(panels, shapes, strict=True):
            _draw_panel(panel, [row for row in rows if row.shape == shape], rows)
            panel.set_title(f"batch {shape}", loc="left", color=INK)
        metric = rows[0].accuracy.metric if rows[0].accuracy else ""
        panels[0].set_ylabel(f"{metric}, with 95 % confidence interval")
        _legend(figure, rows)
        figure.savefig(file)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the (latency, accuracy) points that no other beats in both, fastest first."""
    front: list[tuple[float, float]] = []
    for latency, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def _draw_panel(panel: "Axes", rows: Sequence[Row], all_rows: Sequence[Row]) -> None:
    colours = _colours(all_rows)
    for row in rows:
        _draw_point(panel, row, colours[row.checkpoint])
    _draw_front(panel, [_point(row) for row in rows])
    _write_speedups(panel, rows)
    _scale_time(panel, [_point(row)[0] for row in rows])
    panel.yaxis.set_major_locator(MaxNLocator(6))
    panel.margins(y=0.16)
    panel.grid(color="#eaecf0", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.set_xlabel("median latency of a batch, ms")


def _draw_point(panel: "Axes", row: Row, colour: str) -> None:
    x, y = _point(row)
    low, high = (row.accuracy.low, row.accuracy.high) if row.accuracy else (y, y)
    style: dict[str, Any] = {"color": colour, "zorder": 3}
    panel.errorbar(
        [x], [y], yerr=[[y - low], [high - y]], elinewidth=1, capsize=2, alpha=0.4, **style
    )
    face = colour if row.precision == "fp32" else "white"
    marker = MARKERS[row.runtime]
    panel.plot([x], [y], marker, ms=8.5, mfc=face, mec=colour, mew=1.6, zorder=4)


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
                f"{row.latency.speedup:.3g}x",
                _point(row),
                xytext=(-7, 5),
                textcoords="offset points",
                ha="right",
                color=INK,
                fontsize=9,
            )


def _scale_time(panel: "Axes", latencies: Sequence[float]) -> None:
    """Start at 0 where that is legible, otherwise count in powers."""
    fastest, slowest = min(latencies), max(latencies)
    if slowest / fastest < LOGARITHMIC_FROM:
        panel.set_xlim(0, slowest * 1.15)
        return
    panel.set_xscale("log")
    panel.set_xlim(fastest / 1.6, slowest * 1.6)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    """Explain colours, best checkpoint first, then markers, then the line."""
    names = sorted(_colours(rows).items(), key=lambda item: -_best(rows, item[0]))
    engines = dict.fromkeys((row.runtime, row.precision) for row in rows)
    handles = [
        *(Line2D([], [], color=c, lw=5, label=_short(name, rows)) for name, c in names),
        *(_engine_handle(runtime, precision) for runtime, precision in engines),
        Line2D([], [], color=GREY, label="best trade-offs", **FRONT),
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, labelspacing=0.9)


def _engine_handle(runtime: str, precision: str) -> Line2D:
    face = GREY if precision == "fp32" else "white"
    style: dict[str, Any] = {"ls": "", "ms": 8, "color": GREY, "mew": 1.6, "mfc": face}
    return Line2D([], [], marker=MARKERS[runtime], label=f"{runtime} {precision}", **style)


def _short(name: str, rows: Sequence[Row]) -> str:
    """The last part of a path, if that names one checkpoint only."""
    same = {row.checkpoint for row in rows if Path(row.checkpoint).name == Path(name).name}
    return Path(name).name if len(same) == 1 else name


def _best(rows: Sequence[Row], checkpoint: str) -> float:
    return max(_point(row)[1] for row in rows if row.checkpoint == checkpoint)


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    names = dict.fromkeys(row.checkpoint for row in rows)
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def _point(row: Row) -> tuple[float, float]:
    return (row.latency.p50 if row.latency else 0.0, row.accuracy.value if row.accuracy else 0.0)
