"""A figure as SVG text, the same bytes whenever the same figure is drawn."""

import io

from matplotlib.figure import Figure

NOTHING = {"Creator": None, "Date": None, "Format": None, "Type": None}
"""No date, and nothing else that changes from day to day."""


def svg_text(figure: Figure, *, transparent: bool = False) -> str:
    """Return a whole SVG document, to be called in the style that the figure was drawn in."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=transparent, metadata=NOTHING)
    return buffer.getvalue()
