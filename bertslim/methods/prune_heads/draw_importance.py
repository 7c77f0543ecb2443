"""A heat map of what each head is worth, and which of them went."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from bertslim.methods.prune_heads.ranking import Head
from bertslim.picture.style import COLOURS, INK, LINES, PAPER, STYLE
from bertslim.picture.svg import svg_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

SHADES = LinearSegmentedColormap.from_list(
    "importance", [PAPER, COLOURS[5], COLOURS[0], "#00263b"]
).with_extremes(bad=LINES)
DARK = 0.6
"""From this part of the highest importance on, what is drawn upon a head is light."""
CELL = 0.34
"""Inches of a head."""


def importance_picture(scores: Sequence[Sequence[float]], removed: Collection[Head]) -> str:
    """Return the heat map as an SVG document.

    Args:
        scores: Importance per layer and head.
        removed: The heads that went, numbered alike.
    """
    widest = max(map(len, scores))
    size = (2.2 + CELL * max(widest, 8), 1.3 + CELL * max(len(scores), 4))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panel = figure.subplots()
        image = _draw_heads(panel, scores)
        _cross_out(panel, scores, removed)
        bar = figure.colorbar(image, ax=panel, label="importance within its layer")
        bar.outline.set_visible(False)
        panel.set_title(_title(sum(map(len, scores)), len(removed)))
        return svg_text(figure)


def _draw_heads(panel: "Axes", scores: Sequence[Sequence[float]]) -> "AxesImage":
    """Draw a square for each head, and a grey one where a layer has none any more."""
    grid = np.full((len(scores), max(map(len, scores))), np.nan)  # (layers, heads)
    for layer, values in enumerate(scores):
        grid[layer, : len(values)] = values
    image = panel.imshow(grid, cmap=SHADES, vmin=0, aspect="equal")
    panel.set_xticks(range(grid.shape[1]))
    panel.set_yticks(range(grid.shape[0]))
    panel.set_xlabel("head")
    panel.set_ylabel("layer")
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)
    # lines between the squares
    panel.set_xticks(np.arange(grid.shape[1] + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(grid.shape[0] + 1) - 0.5, minor=True)
    panel.grid(which="minor", color=LINES, linewidth=1.5)
    panel.tick_params(which="minor", length=0)
    return image


def _cross_out(panel: "Axes", scores: Sequence[Sequence[float]], removed: Collection[Head]) -> None:
    highest = max((value for values in scores for value in values), default=0)
    for layer, head in removed:
        colour = PAPER if scores[layer][head] > DARK * highest else INK
        panel.plot([head], [layer], "x", color=colour, markersize=8, markeredgewidth=1.6)


def _title(heads: int, removed: int) -> str:
    return (
        f"{heads} heads, none removed" if removed == 0 else f"{heads} heads, {removed} removed (x)"
    )
