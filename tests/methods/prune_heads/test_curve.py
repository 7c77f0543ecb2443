"""The trade-off is measured by masks, each of them once, and is the same after an interruption."""

from pathlib import Path

import pytest

from bertslim.methods.prune_heads import curve as curves
from bertslim.methods.prune_heads import silencing
from bertslim.methods.prune_heads.curve import DRAWS, Curve, HeadCurve, head_curve
from bertslim.methods.prune_heads.prune import PruneHeads, prune_heads
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.journal import Journal
from bertslim.train.examples import Examples, score_model, selection_score
from tests.methods.prune_heads.worlds import evidence, sentences


@pytest.fixture
def reported(model: SlimBertPreTrainedModel, sentence_task: Path) -> Examples:
    return sentences(model, sentence_task)


def curve_of(
    model: SlimBertPreTrainedModel, reported: Examples, findings: object = None, least: int = 0
) -> Curve:
    whole = score_model(model, reported)
    return head_curve(model, HeadCurve(least, 0), evidence(), reported, whole, findings)


def test_each_point_is_the_metric_of_the_cut_model(
    model: SlimBertPreTrainedModel, reported: Examples
) -> None:
    found = curve_of(model, reported)
    assert found.heads == 8
    assert [point.removed for point in found.points] == list(range(9))
    for point in found.points[1:-1]:
        for order in ("iterative", "once"):
            pruned, _ = prune_heads(model, PruneHeads(point.removed, 0, order), evidence())
            assert getattr(point, order) == selection_score(pruned, reported).value


def test_all_orders_begin_and_end_alike(model: SlimBertPreTrainedModel, reported: Examples) -> None:
    first, *_, last = curve_of(model, reported).points
    for point in (first, last):
        values = {point.iterative, point.once, *point.random.draws, point.random.mean}
        assert len(values) == 1
    assert first.iterative == score_model(model, reported).value


def test_chance_has_a_mean_and_a_range(model: SlimBertPreTrainedModel, reported: Examples) -> None:
    for point in curve_of(model, reported).points:
        chance = point.random
        assert len(chance.draws) == DRAWS
        assert chance.low == min(chance.draws) <= chance.mean <= max(chance.draws) == chance.high


def test_the_curve_ends_where_layers_keep_their_minimum(
    model: SlimBertPreTrainedModel, reported: Examples
) -> None:
    assert [p.removed for p in curve_of(model, reported, least=2).points] == [0, 1, 2, 3, 4]


def test_nothing_is_measured_twice(
    model: SlimBertPreTrainedModel, reported: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {"scores": 0, "metrics": 0}

    def counting(name: str, function: object) -> object:
        def counted_function(*arguments: object, **options: object) -> object:
            counted[name] += 1
            return function(*arguments, **options)

        return counted_function

    scoring = counting("scores", silencing.head_importance)
    monkeypatch.setattr(silencing, "head_importance", scoring)
    monkeypatch.setattr(silencing, "score_run", counting("metrics", silencing.score_run))
    findings = {}
    prune_heads(model, PruneHeads(0.5, 0, "iterative"), evidence(), findings)
    curve_of(model, reported, findings)
    # of eight heads each is a tenth; ranking once and drawing at random adds nothing
    assert counted["scores"] == 8
    # the model itself is known; without the first head, and without all, both orders agree
    assert counted["metrics"] == 1 + 6 * 2 + 7 * DRAWS + 1 - _agreeing(findings)


def _agreeing(findings: dict[str, object]) -> int:
    """How many choices of heads were met a second time by chance."""
    kept = [name for name in findings if name.startswith("reported")]
    return 1 + 6 * 2 + 7 * DRAWS + 1 - len(kept)


def test_an_interrupted_curve_goes_on(
    model: SlimBertPreTrainedModel,
    reported: Examples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = curve_of(model, reported, least=2)
    said = []

    def interrupted(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(curves, "note", interrupted)
    with pytest.raises(KeyboardInterrupt):
        curve_of(model, reported, Journal(tmp_path), least=2)
    known = set(Journal(tmp_path))
    assert sum(name.startswith("reported") for name in known) >= 2
    assert curve_of(model, reported, Journal(tmp_path), least=2) == expected
    assert known < set(Journal(tmp_path))
