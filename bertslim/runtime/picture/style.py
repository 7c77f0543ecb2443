"""What all pictures of a comparison share: a colour per checkpoint, a marker per engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.lines import Line2D

from bertslim.picture.style import COLOURS, GREY, PAPER
from bertslim.runtime.rows import Row

MARKERS = {"torch": "o", "onnxruntime": "s", "openvino": "D", "tensorrt": "^", "tensorrt-rtx": "v"}
FILLS: dict[str, Literal["full", "left", "bottom", "none"]] = {
    "fp32": "full",
    "fp16": "left",
    "bf16": "bottom",
    "int8": "none",
}
"""How much of a marker is filled: the fewer bits, the less."""


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
