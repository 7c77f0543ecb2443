"""A figure as SVG that stands within a page: it has the page's colours, by day and by night."""

import html
import re

from matplotlib.figure import Figure

from bertslim.picture.style import GREY, INK, LINES, PAPER
from bertslim.picture.svg import svg_text

VARIABLES = {INK: "ink", GREY: "grey", LINES: "lines", PAPER: "paper", "#000000": "ink"}
"""Colours that the page sets, by the names of its variables."""


def as_svg(figure: Figure, name: str, description: str) -> str:
    """Return an `svg` element; `name` keeps its parts apart from those of others on the page."""
    text = svg_text(figure, transparent=True)
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{name}-", text)
    for colour, variable in VARIABLES.items():
        text = re.sub(rf"(?<=: ){colour}\b", f"var(--{variable})", text, flags=re.IGNORECASE)
    label = f'role="img" aria-label="{html.escape(description)}" '
    return text.replace("<svg ", f"<svg {label}", 1)
