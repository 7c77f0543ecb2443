"""The pictures hold what they are to show; how they look was looked at."""

from bertslim.methods.prune_heads.curve import Chance, Curve, Point
from bertslim.methods.prune_heads.draw_curve import curve_picture
from bertslim.methods.prune_heads.draw_importance import importance_picture
from bertslim.train.prediction import Score

SCORES = [[0.6, 0.8, 0.0], [], [1.0]]
WHOLE = Score({"accuracy": 0.9}, "accuracy", 0.9, 0.88, 0.92, 1872)
CURVE = Curve(
    72,
    WHOLE,
    tuple(
        Point(n, 0.9 - n / 200, 0.9 - n / 150, Chance(0.8 - n / 150, 0.4, 0.85, (0.4, 0.6, 0.85)))
        for n in (0, 7, 14, 22)
    ),
)


def test_a_cross_for_each_head_that_went() -> None:
    none, one, two = (importance_picture(SCORES, gone) for gone in ([], [(0, 2)], [(0, 2), (2, 0)]))
    assert [text.count("4 heads, ") for text in (none, one, two)] == [1, 1, 1]
    assert "none removed" in none
    assert "2 removed" in two
    assert [text.count("stroke-width: 1.6") for text in (none, one, two)] == [0, 2, 4]


def test_the_curve_names_what_it_shows() -> None:
    text = curve_picture(CURVE)
    said = ("accuracy, 1,872 examples", "removed of 72 heads", "at random", "ranked once")
    assert [words for words in said if f"<!-- {words} -->" not in text] == []
    assert "removed -->" not in text.replace("removed of 72 heads", "")
    assert "<!-- 29 removed -->" in curve_picture(CURVE, 29)


def test_the_same_picture_is_the_same_file() -> None:
    assert curve_picture(CURVE, 7) == curve_picture(CURVE, 7)
    assert importance_picture(SCORES, [(0, 0)]) == importance_picture(SCORES, [(0, 0)])
