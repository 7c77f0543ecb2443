"""A picture is a file that stays the same as long as what it shows does."""

import matplotlib as mpl
from matplotlib.figure import Figure

from bertslim.picture.style import STYLE, count_in_powers
from bertslim.picture.svg import svg_text


def drawn(transparent: bool = False) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot([1, 2], [1, 3], "o", label="two")
        return svg_text(figure, transparent=transparent)


def test_the_same_picture_has_the_same_bytes() -> None:
    assert drawn() == drawn()
    assert drawn().startswith("<?xml")
    assert drawn().rstrip().endswith("</svg>")
    assert "<dc:date>" not in drawn()


def test_a_transparent_picture_has_no_paper() -> None:
    assert drawn().count("fill: #ffffff") > drawn(transparent=True).count("fill: #ffffff")


def test_long_logarithmic_axes_have_few_numbers() -> None:
    figure = Figure()
    panel = figure.subplots()
    panel.set_xscale("log")
    labels = {}
    for high in (10, 100, 10000):
        panel.set_xlim(1, high)
        count_in_powers(panel.xaxis)
        figure.draw_without_rendering()
        ticks = panel.get_xticklabels()
        labels[high] = [t.get_text() for t in ticks if 1 <= float(t.get_text()) <= high]
    assert labels[10] == ["1", "2", "5", "10"]
    assert labels[100] == ["1", "3", "10", "30", "100"]
    assert labels[10000] == ["1", "10", "100", "1000", "10000"]
