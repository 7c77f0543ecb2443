"""Where the time of each engine goes: a bar for each, in the order of the table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.patches import Patch

from bertslim.runtime.breakdown import Breakdown
from bertslim.runtime.columns import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = {"GEMM": "#3b6fb6", "attention": "#e0a030", "norm": "#5aa469", "other": "#98a2b3"}


def draw_breakdown(panel: "Axes", bars: Sequence[Breakdown], labels: Sequence[str]) -> None:
    """Draw stacked bars, each with its label above it and its sum after it."""
    for place, (bar, label) in enumerate(zip(bars, labels, strict=True)):
        left = 0.0
        for group, milliseconds in bar.milliseconds.items():
            panel.barh([place], [milliseconds], left=left, height=0.42, color=SHADES[group])
            left += milliseconds
        _write(panel, number(left), (left, place), (5, 0), va="center")
        _write(panel, label, (0, place - 0.28), (0, 1), va="bottom")
    panel.set_ylim(len(bars) - 0.6, -0.8)
    panel.margins(x=0.2)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    panel.set_xlabel("ms for a batch")


def _write(
    panel: "Axes", text: str, place: tuple[float, float], offset: tuple[float, float], va: str
) -> None:
    written = panel.annotate(text, place, xytext=offset, textcoords="offset points", va=va)
    # no room is made for what may be longer than its bar
    written.set_in_layout(False)


def breakdown_handles() -> list[Patch]:
    """Explain the shades."""
    return [Patch(color=shade, label=group) for group, shade in SHADES.items()]
