"""What least squares make good, where mathematics says how much."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.errors import DataError
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.parts import Part, cut, parts_of
from bertslim.methods.prune_heads.passes import labelled_batches
from bertslim.methods.prune_heads.tune import Form, tune
from bertslim.model.configuration import LayerWidths, with_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from tests.methods.prune_heads.kinds import every_kind, world
from tests.methods.prune_heads.worlds import all_units, evidence, rows

FORMS: list[Form] = ["scales", "projections"]
every_form = pytest.mark.parametrize("form", FORMS)


def without(
    model: SlimBertPreTrainedModel, part: Part, units: list[int]
) -> SlimBertPreTrainedModel:
    kept = all_units(model.config)
    kept[part][units] = False
    return cut(model, kept)


def make_twins(model: SlimBertPreTrainedModel, layer: int, part: str) -> None:
    """Let unit 1 compute what unit 0 does, and say half of what that one says as well."""
    block = model.encoder.layers[layer]
    readers = [block.ffn.intermediate]
    first, second, output = slice(0, 1), slice(1, 2), block.ffn.output.weight
    if part == "heads":
        readers = [block.attention.query, block.attention.key, block.attention.value]
        first, second, output = slice(0, 8), slice(8, 16), block.attention.output.weight
    with torch.no_grad():
        for reader in readers:
            reader.weight[second], reader.bias[second] = reader.weight[first], reader.bias[first]
        output[:, second] = output[:, first] / 2


def logits(model: SlimBertPreTrainedModel) -> Tensor:
    with torch.no_grad():
        return model(torch.arange(5, 30).view(5, 5)).logits


@every_form
@pytest.mark.parametrize("kind", ["heads", "ffn"])
def test_a_twin_takes_over(model: SlimBertPreTrainedModel, form: Form, kind: str) -> None:
    make_twins(model, 0, kind)
    slim = without(model, Part(0, kind), [1])
    before = (logits(slim) - logits(model)).abs().max()
    residuals = tune(slim, model, evidence(), form)
    # the ridge, which keeps weights from running away, leaves a little
    assert (logits(slim) - logits(model)).abs().max() < 0.1 * before
    found = next(r for r in residuals if (r.layer, r.kind) == (0, kind))
    assert found.after < 0.05 * found.before
    assert found.ridge == 1e-4


@every_form
def test_nothing_was_cut_and_nothing_changes(model: SlimBertPreTrainedModel, form: Form) -> None:
    same = cut(model, all_units(model.config))
    residuals = tune(same, model, evidence(), form)
    assert [r.ridge for r in residuals] == [None] * 4
    assert all(torch.equal(t, same.state_dict()[n]) for n, t in model.state_dict().items())


@every_form
def test_errors_never_grow(model: SlimBertPreTrainedModel, form: Form) -> None:
    slim = without(model, Part(0, "ffn"), list(range(40)))
    residuals = tune(slim, model, evidence(), form)
    assert [(r.layer, r.kind) for r in residuals] == [
        (part.layer, part.kind) for part in parts_of(model.config)
    ]
    assert all(r.after <= r.before for r in residuals)
    assert residuals[1].after < residuals[1].before


def test_what_a_layer_lost_the_next_part_makes_good(model: SlimBertPreTrainedModel) -> None:
    """The bias of the FFN is gone in the residual; the next projections know and put it back."""
    damaged = cut(model, all_units(model.config))
    with torch.no_grad():
        damaged.encoder.layers[0].attention.value.bias += 1.0
    before = (logits(damaged) - logits(model)).abs().max()
    tune(damaged, model, evidence(), "projections")
    # a constant that is added to all contexts is for the bias of the projection to take away
    assert (logits(damaged) - logits(model)).abs().max() < 1e-3 * before


@every_form
def test_only_output_projections_change(model: SlimBertPreTrainedModel, form: Form) -> None:
    slim = without(model, Part(0, "heads"), [0, 3])
    before = {name: tensor.clone() for name, tensor in slim.state_dict().items()}
    whole = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tune(slim, model, evidence(), form)
    changed = {n for n, tensor in slim.state_dict().items() if not torch.equal(tensor, before[n])}
    assert changed
    assert all(name.endswith((".output.weight", ".output.bias")) for name in changed)
    if form == "scales":
        assert all(name.endswith("weight") for name in changed)
    assert all(torch.equal(t, whole[n]) for n, t in model.state_dict().items())


def test_factors_are_one_for_each_head(model: SlimBertPreTrainedModel) -> None:
    slim = without(model, Part(0, "heads"), [1])
    before = slim.encoder.layers[0].attention.output.weight.clone()
    tune(slim, model, evidence(), "scales")
    factors = (slim.encoder.layers[0].attention.output.weight / before).view(32, 3, 8)
    expected = factors[:1, :, :1].expand_as(factors)
    torch.testing.assert_close(factors, expected, rtol=1e-3, atol=0)


@every_kind
@every_form
def test_every_kind_comes_nearer(kind: str, form: Form, tmp_path: Path) -> None:
    model, examples = world(tmp_path, kind)
    slim = without(model, Part(0, "ffn"), list(range(0, 64, 2)))
    residuals = tune(slim, model, examples, form)
    assert residuals[1].after < residuals[1].before


@every_form
def test_a_layer_without_heads(model: SlimBertPreTrainedModel, form: Form) -> None:
    slim = without(model, Part(0, "heads"), [0, 1, 2, 3])
    residuals = tune(slim, model, evidence(), form)
    assert (residuals[0].ridge is None) == (form == "scales")
    assert residuals[0].after <= residuals[0].before


def last_sums(model: SlimBertPreTrainedModel, examples: Evidence) -> tuple[Tensor, Tensor]:
    """What the last norm reads when the model itself runs, and the residual in it.

    Of the real tokens of held-out examples, (tokens, hidden).
    """
    layer, seen, rows = model.encoder.layers[1], list[Tensor](), 0
    found: list[tuple[Tensor, Tensor]] = []
    handles = [
        layer.ffn_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])),
        layer.ffn.register_forward_hook(lambda _, __, output: seen.append(output)),
    ]
    for inputs, _ in labelled_batches(model, examples, ""):
        with torch.no_grad():
            model(**inputs)
        added, total = seen[-2:]
        held_out = torch.arange(rows, rows + len(total)) % 5 == 4
        chosen = inputs["attention_mask"].bool()[:, : total.shape[1]] & held_out[:, None]
        found.append((total[chosen], (total - added)[chosen]))
        rows += len(total)
    for handle in handles:
        handle.remove()
    return torch.cat([total for total, _ in found]), torch.cat([rest for _, rest in found])


@pytest.mark.parametrize("kind", ["text-classification", "token-classification"])
@pytest.mark.parametrize("window", [None, 2])
def test_residuals_are_those_of_the_models_themselves(
    kind: str, window: int | None, tmp_path: Path
) -> None:
    """States go up as the model computes them: through windows, without padding, first tokens."""
    model, examples = world(tmp_path, kind)
    widths = LayerWidths(4, 4, 8, 64, window)
    whole = type(model)(with_widths(model.config, [widths, widths])).eval()
    whole.load_state_dict(model.state_dict())
    slim = without(whole, Part(1, "ffn"), list(range(20)))
    (wanted, _), (found, rest) = last_sums(whole, examples), last_sums(slim, examples)
    weights = whole.encoder.layers[1].ffn_norm.weight.detach().square()
    asked = wanted - rest
    spread = ((asked - asked.mean(0)).square() @ weights).mean()
    expected = ((found - wanted).square() @ weights).mean() / spread
    last = tune(slim, whole, examples, "projections")[-1]
    assert last.before == pytest.approx(float(expected), rel=1e-3)
    (tuned, _) = last_sums(slim, examples)
    assert ((tuned - wanted).square() @ weights).mean() < (
        (found - wanted).square() @ weights
    ).mean()


def test_too_few_examples_to_hold_some_out(model: SlimBertPreTrainedModel) -> None:
    slim = cut(model, all_units(model.config))
    with pytest.raises(DataError, match="4 training examples are too few"):
        tune(slim, model, evidence(rows().select(range(4))), "scales")
