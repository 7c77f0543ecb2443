"""What all pictures have in common: a colour for each checkpoint, a marker for each engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bertslim.runtime.rows import Row

if TYPE_CHECKING:
    from matplotlib.axis import Axis

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart."""
MARKERS = {"torch": "o", "onnxruntime": "s", "openvino": "D", "tensorrt": "^", "tensorrt-rtx": "v"}
FILLS: dict[str, Literal["full", "left", "bottom", "none"]] = {
    "fp32": "full",
    "fp16": "left",
    "bf16": "bottom",
    "int8": "none",
}
"""How much of a marker is filled: the fewer bits, the less."""
GREY, INK, LINES, PAPER = "#667085", "#344054", "#eaecf0", "#ffffff"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": LINES,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.hashsalt": "bertslim",
}


def colours(rows: Sequence[Row]) -> dict[str, str]:
    """Give each checkpoint a colour."""
    names = dict.fromkeys(row.checkpoint for row in rows)
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def short(name: str, rows: Sequence[Row]) -> str:
    """Return the last part of a path, if that names one checkpoint only."""
    same = {row.checkpoint for row in rows if Path(row.checkpoint).name == Path(name).name}
    return Path(name).name if len(same) == 1 else name


def marker(runtime: str, precision: str, colour: str) -> dict[str, Any]:
    """Return how an engine looks: the shape tells the runtime, the filling the precision."""
    return {
        "marker": MARKERS[runtime],
        "fillstyle": FILLS[precision],
        "markersize": 8.5,
        "markerfacecolor": PAPER if precision == "int8" else colour,
        "markerfacecoloralt": PAPER,
        "markeredgecolor": colour,
        "markeredgewidth": 1.6,
    }


def handles_of(rows: Sequence[Row], names: Sequence[str] = ()) -> list[Line2D]:
    """Explain colours, in an order of checkpoints, and markers."""
    colour_of = colours(rows)
    engines = dict.fromkeys((row.runtime, row.precision) for row in rows)
    return [
        *(
            Line2D([], [], color=colour_of[name], lw=5, label=short(name, rows))
            for name in names or colour_of
        ),
        *(Line2D([], [], ls="", label=" ".join(e), **marker(*e, GREY)) for e in engines),
    ]


def count_in_powers(axis: "Axis") -> None:
    """Write 1, 2, 5, 10 ... on a logarithmic axis, or fewer numbers on a long one."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high / low < 40 else (1, 3) if high / low < 1000 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
