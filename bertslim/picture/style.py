"""Colours, lines and axes that every picture is drawn with."""

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axis import Axis

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart."""
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


def count_in_powers(axis: "Axis") -> None:
    """Write 1, 2, 5, 10 ... on a logarithmic axis, or fewer numbers on a long one."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high / low < 40 else (1, 3) if high / low < 1000 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
