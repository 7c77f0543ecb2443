"""The whole way from scores to a smaller model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bertslim.errors import QualityError, SettingsError
from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.costs import flops_costs, head_costs
from bertslim.methods.prune_heads.drop import Bound
from bertslim.methods.prune_heads.parts import KINDS
from bertslim.methods.prune_heads.plan import Method, PruneUnits
from bertslim.methods.prune_heads.units import prune_units
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.shapes import encoder_flops
from bertslim.train.examples import selection_score
from tests.methods.prune_heads.kinds import every_kind, world
from tests.methods.prune_heads.worlds import evidence, sentences, silence

LENGTH = 16
METHODS: list[Method] = ["gradient", "fisher", "surgeon"]
every_method = pytest.mark.parametrize("method", METHODS)


def wanted(model: SlimBertPreTrainedModel, method: Method = "surgeon") -> PruneUnits:
    """Half of the FLOPs; FFN widths are multiples of 8."""
    costs, limits = flops_costs(model.config, LENGTH), Limits(KINDS, 1, 8)
    rearrange = method == "fisher"
    return PruneUnits(method, costs, limits, 0.5, rearrange, "projections", seed=0)


def logits(model: SlimBertPreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(5, 30).view(5, 5)).logits


@every_method
def test_the_budget_holds(
    model: SlimBertPreTrainedModel, sentence_task: Path, method: Method
) -> None:
    tuning = sentences(model, sentence_task)
    slim, report = prune_units(model, wanted(model, method), evidence(), tuning)
    widths = layer_widths(slim.config)
    assert report.heads == tuple(layer.heads for layer in widths)
    assert report.ffn == tuple(layer.intermediate_size for layer in widths)
    assert all(width % 8 == 0 for width in report.ffn)
    assert all(heads >= 1 for heads in report.heads)
    assert {n: len(gone) for n, gone in report.removed_heads.items()} == {
        n: 4 - heads for n, heads in enumerate(report.heads) if heads < 4
    }
    assert report.after == encoder_flops(slim.config, LENGTH) <= 0.5 * report.before
    assert report.before == encoder_flops(model.config, LENGTH)
    # and it is spent: one more block of FFN units or one more head would be too much
    assert report.after > 0.35 * report.before
    assert (report.removed, report.scored_examples, report.held) == (0.5, 10, None)
    assert report.seconds.keys() == {"scoring", "search", "tuning"}


@every_method
def test_silent_units_go_and_nothing_changes(
    model: SlimBertPreTrainedModel, sentence_task: Path, method: Method
) -> None:
    """Half of all say nothing; without them the model computes the same."""
    for layer in range(2):
        silence(model, layer, 1)
        silence(model, layer, 3)
        with torch.no_grad():
            model.encoder.layers[layer].ffn.output.weight[:, ::2] = 0
    settings = replace(wanted(model, method), remove=0.45, tune=None)
    slim, report = prune_units(model, settings, evidence(), sentences(model, sentence_task))
    if method != "gradient":
        # how many of each, gradients do not tell
        assert report.heads == (2, 2)
        torch.testing.assert_close(logits(slim), logits(model), atol=1e-5, rtol=0)
    assert all(set(gone) <= {1, 3} for gone in report.removed_heads.values() if len(gone) <= 2)


@pytest.mark.parametrize("method", ["fisher", "surgeon"])
def test_heads_alone(model: SlimBertPreTrainedModel, method: Method) -> None:
    settings = replace(
        wanted(model, method), costs=head_costs(model.config), limits=Limits(("heads",), 1, 8)
    )
    slim, report = prune_units(model, settings, evidence())
    assert sum(report.heads) == 4
    assert report.ffn == (64, 64)
    assert report.share == {"heads": 0.5, "ffn": 1.0}
    assert sum(layer.heads for layer in layer_widths(slim.config)) == 4


def test_least_squares_come_nearer_to_the_model(model: SlimBertPreTrainedModel) -> None:
    errors = []
    for form in (None, "scales", "projections"):
        slim, report = prune_units(model, replace(wanted(model), tune=form), evidence())
        assert len(report.residuals) == (0 if form is None else 4)
        errors.append(float((logits(slim) - logits(model)).square().mean()))
    assert errors[2] < errors[0]


def test_swaps_keep_the_widths(model: SlimBertPreTrainedModel) -> None:
    settings = replace(wanted(model, "fisher"), remove=0.25, tune=None)
    _, swapped = prune_units(model, settings, evidence())
    _, plain = prune_units(model, replace(settings, rearrange=False), evidence())
    assert swapped.swaps > 0
    assert plain.swaps == 0
    assert (swapped.heads, swapped.ffn) == (plain.heads, plain.ffn)


def test_the_surgeon_does_not_rearrange(model: SlimBertPreTrainedModel) -> None:
    with pytest.raises(ValueError, match="no gradients"):
        replace(wanted(model), rearrange=True)


@every_kind
@every_method
def test_every_kind_of_task(
    kind: str, method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bertslim.methods.prune_heads.units.masked_metric", lambda *_: lambda _kept: 0.0
    )
    model, examples = world(tmp_path, kind)
    slim, report = prune_units(model, wanted(model, method), examples)
    assert encoder_flops(slim.config, LENGTH) <= 0.5 * encoder_flops(model.config, LENGTH)
    assert all(r.after <= r.before for r in report.residuals)


def scoring(
    monkeypatch: pytest.MonkeyPatch, metric: Callable[[SlimBertPreTrainedModel], float]
) -> None:
    score = "bertslim.methods.prune_heads.units.selection_score"
    monkeypatch.setattr(score, lambda model, _: type("S", (), {"value": metric(model)}))


def test_a_bound_is_met_as_narrowly_as_can_be(
    model: SlimBertPreTrainedModel, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric is the share of FLOPs that is left: a drop of 0.4 is met by 0.6."""
    whole = encoder_flops(model.config, LENGTH)
    scoring(monkeypatch, lambda m: encoder_flops(m.config, LENGTH) / whole)
    bound = Bound(0.4, sentences(model, sentence_task))
    slim, report = prune_units(model, replace(wanted(model), remove=bound, tune=None), evidence())
    held = report.held
    assert held is not None
    left = encoder_flops(slim.config, LENGTH) / whole
    assert left == held.after >= held.before - 0.4
    # the next fortieth would have been too much
    assert held.tried[round(report.removed * 40) + 1] < 0.6
    assert len(held.tried) <= 5 + 4


def test_a_bound_that_allows_nothing(
    model: SlimBertPreTrainedModel, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring(monkeypatch, lambda m: float(m is model))
    bound = Bound(0.1, sentences(model, sentence_task))
    with pytest.raises(QualityError, match="already without a 40th of the FLOPs the metric is"):
        prune_units(model, replace(wanted(model), remove=bound, tune=None), evidence())


def test_what_is_masked_is_scored_like_what_is_cut(
    model: SlimBertPreTrainedModel, sentence_task: Path
) -> None:
    """`gradient` shares the budget by masks; the split that it takes is the best of those."""
    tuning = sentences(model, sentence_task)
    settings = replace(wanted(model, "gradient"), tune=None)
    slim, report = prune_units(model, settings, evidence(), tuning)
    assert report.after <= 0.5 * report.before
    assert selection_score(slim, tuning).value >= 0.4


def test_gradients_need_something_to_choose_by(model: SlimBertPreTrainedModel) -> None:
    with pytest.raises(SettingsError, match="no tuning slice"):
        prune_units(model, wanted(model, "gradient"), evidence())


def test_too_much(model: SlimBertPreTrainedModel) -> None:
    settings = replace(wanted(model), remove=0.99)
    with pytest.raises(SettingsError, match=r"1\.0% of the FLOPs are not enough"):
        prune_units(model, settings, evidence())


def test_the_model_is_left_as_it_was(model: SlimBertPreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prune_units(model, wanted(model), evidence())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
