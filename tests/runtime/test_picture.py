"""The picture is drawn from rows that have both accuracy and latency."""

from pathlib import Path

import pytest

from bertslim.errors import SettingsError
from bertslim.runtime.engine import PRECISIONS, RUNTIMES
from bertslim.runtime.picture import draw
from bertslim.runtime.picture.style import FILLS, MARKERS, marker
from bertslim.runtime.picture.tradeoff import pareto_front
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
