"""The picture of a replacement: rate, loss and metric over the steps."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bertslim.methods.theseus.theseus import TheseusReport

PICTURE = "replacement.svg"
POINTS = 50
"""Places along the run where the share of replaced modules is averaged."""


def draw_replacement(report: "TheseusReport", metric: str, seed: int, file: Path) -> None:
    """Draw rate, mean losses and metric of each epoch, one above the other.

    Args:
        report: What happened.
        metric: The name of what models were selected by.
        seed: What the modules were drawn with.
        file: An svg.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from bertslim.picture.style import STYLE
    from bertslim.picture.svg import svg_text

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 6.6), layout="constrained")
        panels = figure.subplots(3, 1, sharex=True)
        for panel in panels:
            _mark_phases(panel, report)
        _draw_rate(panels[0], report, seed)
        _draw_losses(panels[1], report)
        _draw_metric(panels[2], report, metric)
        panels[-1].set_xlabel("step")
        file.write_text(svg_text(figure), encoding="utf-8")


def running_share(report: "TheseusReport", seed: int) -> tuple[list[float], list[float]]:
    """Return steps, and the share of modules that was replaced around each of them."""
    steps, modules = report.training.steps, len(report.modules)
    drawn = [report.schedule.drawn(step, modules, seed).mean() for step in range(steps)]
    parts = np.array_split(np.arange(steps), min(POINTS, steps))
    shares = [float(np.take(drawn, part).mean()) for part in parts]
    return [float(part.mean()) for part in parts], shares


def _draw_rate(panel: "Axes", report: "TheseusReport", seed: int) -> None:
    from bertslim.picture.style import COLOURS, GREY

    steps = np.arange(report.training.steps)
    panel.step(*running_share(report, seed), where="mid", color=GREY, lw=0.9, label="drawn")
    panel.plot(steps, [report.schedule.at(int(s)) for s in steps], color=COLOURS[0], label="rate")
    panel.set_ylim(0, 1.05)
    alone = "; behind the dashed line the successor is alone" if _ends_alone(report) else ""
    panel.set_title(f"share of modules replaced{alone}")
    panel.legend(loc="lower right")


def _draw_losses(panel: "Axes", report: "TheseusReport") -> None:
    from bertslim.picture.style import COLOURS
    from bertslim.train.stepping import GRADIENT_NORM

    losses = report.training.losses
    curves = {
        name: [epoch[name] for epoch in losses] for name in losses[0] if name != GRADIENT_NORM
    }
    for (name, values), colour in zip(curves.items(), COLOURS[1:], strict=False):
        panel.plot(_ends(report), values, marker="o", color=colour, label=name)
    highest = max(map(max, curves.values()))
    panel.set_ylim(0, 1.15 * highest if highest > 0 else 1)
    panel.set_title("loss, mean of each epoch")
    panel.legend(loc="lower left")


def _draw_metric(panel: "Axes", report: "TheseusReport", metric: str) -> None:
    from bertslim.picture.style import COLOURS, PAPER

    ends, training = _ends(report), report.training
    panel.plot(ends, training.metrics, marker="o", color=COLOURS[2], markerfacecolor=PAPER)
    best = training.best_epoch - 1
    panel.plot([ends[best]], [training.metrics[best]], marker="o", color=COLOURS[2])
    panel.margins(y=0.2)
    panel.set_title(f"{metric} of the successor alone; the best epoch is kept")


def _mark_phases(panel: "Axes", report: "TheseusReport") -> None:
    """Draw a line where the successor is alone from."""
    from matplotlib.ticker import MaxNLocator

    from bertslim.picture.style import GREY

    panel.grid()
    panel.set_xlim(0, 1.02 * report.training.steps)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if _ends_alone(report):
        panel.axvline(report.schedule.steps, color=GREY, lw=1, ls=(0, (4, 3)))


def _ends_alone(report: "TheseusReport") -> bool:
    """Whether there is a second phase."""
    return report.schedule.steps < report.training.steps


def _ends(report: "TheseusReport") -> npt.NDArray[np.int64]:
    """Return the step at which each epoch ends."""
    epochs, steps = len(report.training.losses), report.training.steps
    return np.arange(1, epochs + 1) * (steps // epochs)
