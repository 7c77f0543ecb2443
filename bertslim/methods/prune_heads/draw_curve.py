"""The trade-off as a picture: the metric against the share of heads that went."""

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bertslim.methods.prune_heads.curve import Curve
from bertslim.picture.style import COLOURS, GREY, INK, LINES, STYLE
from bertslim.picture.svg import svg_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve_picture(curve: Curve, removed: int = 0) -> str:
    """Return the curve as an SVG document.

    Args:
        curve: What to draw.
        removed: How many heads were removed for good; they are marked.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        panel = figure.subplots()
        _draw_whole(panel, curve)
        _draw_orders(panel, curve)
        if removed:
            _mark(panel, curve, removed)
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.yaxis.set_major_locator(MaxNLocator(6))
        panel.margins(y=0.12)
        panel.grid()
        panel.set_xlabel(f"removed of {curve.heads} heads")
        panel.set_ylabel(f"{curve.whole.metric}, {curve.whole.examples:,} examples")
        panel.legend(loc="lower left", frameon=True, framealpha=0.9, edgecolor="none")
        return svg_text(figure)


def _draw_orders(panel: "Axes", curve: Curve) -> None:
    points = curve.points
    shares = [point.removed / curve.heads for point in points]
    iterative, once = [p.iterative for p in points], [p.once for p in points]
    panel.plot(shares, iterative, "o-", color=COLOURS[0], label="ranked again at every tenth")
    panel.plot(shares, once, "s-", color=COLOURS[1], markersize=5, label="ranked once")
    panel.plot(shares, [p.random.mean for p in points], ".--", color=GREY, label="at random")
    low, high = [p.random.low for p in points], [p.random.high for p in points]
    panel.fill_between(shares, low, high, color=GREY, alpha=0.18, linewidth=0)


def _draw_whole(panel: "Axes", curve: Curve) -> None:
    whole = curve.whole
    panel.axhline(whole.value, color=INK, linewidth=0.8)
    panel.axhspan(
        whole.low, whole.high, color=LINES, linewidth=0, label="all heads, 95 % confidence"
    )


def _mark(panel: "Axes", curve: Curve, removed: int) -> None:
    share = removed / curve.heads
    panel.axvline(share, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    panel.annotate(
        f"{removed} removed",
        (share, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        va="top",
    )
