"""The picture is drawn from rows that have both accuracy and latency."""

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from bertslim.errors import SettingsError
from bertslim.runtime.columns import number
from bertslim.runtime.engine import PRECISIONS, RUNTIMES
from bertslim.runtime.exhibits import HEIGHT, ON_A_PAGE, WIDTH
from bertslim.runtime.picture import draw
from bertslim.runtime.picture.style import FILLS, MARKERS, marker
from bertslim.runtime.picture.tradeoff import draw_tradeoff, pareto_front
from tests.runtime.fakes import comparison, row


def test_front_keeps_what_nothing_beats() -> None:
    points = [(10.0, 0.9), (5.0, 0.8), (20.0, 0.9), (7.0, 0.7), (5.0, 0.6), (30.0, 0.95)]
    assert pareto_front(points) == [(5.0, 0.8), (10.0, 0.9), (30.0, 0.95)]


@pytest.mark.parametrize("slow", [2.0, 50.0])
def test_draws_a_png_and_an_svg_with_every_name(tmp_path: Path, slow: float) -> None:
    drawn = comparison(
        row("models/big", [slow], accuracy=0.9),
        row("out/small", [1.0], runtime="openvino", accuracy=0.8, first=[slow]),
        row("out/none", reason="absent"),
    )
    draw(drawn, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    draw(drawn, tmp_path / "picture.svg")
    svg = (tmp_path / "picture.svg").read_text()
    assert [name in svg for name in ("big", "small", "none -->")] == [True, True, False]


@pytest.mark.parametrize("slow", [2.0, 4.5, 50.0, 3000.0])
def test_numbers_on_the_front_keep_clear_of_the_axis_and_are_plain(slow: float) -> None:
    rows = [row("big", [slow], accuracy=0.9), row("out", [1.0], accuracy=0.8, first=[slow])]
    with mpl.rc_context(ON_A_PAGE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        panel = figure.subplots()
        draw_tradeoff(panel, rows, rows)
        panel.set_ylabel("accuracy")
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in panel.texts]
    assert [text.get_text() for text in panel.texts] == ["1.00x", f"{number(slow)}x"]
    assert all(box.x0 > panel.get_window_extent().x0 for box in boxes)


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both accuracy and latency"):
        draw(comparison(row(times=[1.0])), tmp_path / "picture.png")


def test_every_engine_looks_different() -> None:
    assert MARKERS.keys() == RUNTIMES.keys()
    assert FILLS.keys() == set(PRECISIONS)
    looks = {
        (style["marker"], style["fillstyle"])
        for style in (marker(r, p, "#123456") for r in RUNTIMES for p in PRECISIONS)
    }
    assert len(looks) == len(RUNTIMES) * len(PRECISIONS)
