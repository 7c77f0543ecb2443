"""Gradients of gates, against gates."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.errors import BertslimError
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.gradients import observed, unit_gradients
from bertslim.methods.prune_heads.losses import label_loss
from bertslim.methods.prune_heads.parts import KINDS, Part, output_of, parts_of
from bertslim.methods.prune_heads.passes import labelled_batches
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from tests.methods.prune_heads.kinds import every_kind, world
from tests.methods.prune_heads.worlds import evidence


def gradients_by_the_book(model: SlimBertPreTrainedModel, examples: Evidence) -> dict[Part, Tensor]:
    """dL(x) / dm with a gate m for every example and unit."""
    found: dict[Part, list[Tensor]] = {part: [] for part in parts_of(model.config)}
    for inputs, items in labelled_batches(model, examples, ""):
        count = len(inputs["input_ids"])
        gates = {
            part: torch.ones(count, 4 if part.kind == "heads" else 64, requires_grad=True)
            for part in found
        }
        heads, ffn = ([gates[Part(layer, kind)] for layer in range(2)] for kind in KINDS)
        loss = model(**inputs, gates=Gates(heads, ffn)).loss * items
        for part, gradient in zip(found, torch.autograd.grad(loss, gates.values()), strict=True):
            found[part].append(gradient)
    return {part: torch.cat(parts) for part, parts in found.items()}


@every_kind
def test_gradients_are_those_of_gates(kind: str, tmp_path: Path) -> None:
    model, examples = world(tmp_path, kind)
    expected = gradients_by_the_book(model, examples)
    for part, found in unit_gradients(model, examples).items():
        torch.testing.assert_close(found, expected[part], rtol=1e-3, atol=1e-5)


def test_examples_do_not_mix(model: SlimBertPreTrainedModel) -> None:
    """One by one or in batches, the squares of all examples add up to the same."""
    alone = unit_gradients(model, evidence(batch_size=1))
    together = unit_gradients(model, evidence(batch_size=10))
    for part, found in together.items():
        assert found.shape[0] == 10
        expected = alone[part].square().sum(dim=0)
        torch.testing.assert_close(found.square().sum(dim=0), expected, rtol=1e-3, atol=1e-8)


def test_what_is_seen_is_what_the_projection_computes(model: SlimBertPreTrainedModel) -> None:
    batches = list(observed(model, evidence(), label_loss, ""))
    assert [len(batch) for batch in batches] == [4, 4, 4]
    seen = batches[0][Part(0, "ffn")]
    assert seen.inputs.shape[2] == output_of(model, Part(0, "ffn")).in_features
    # a classifier's last layer goes on with the first token alone
    last = batches[0][Part(1, "ffn")]
    assert last.inputs.shape[1] == last.real.shape[1] == 1
    # padding is told apart, and moves nothing
    assert not seen.real.all()
    assert not seen.gradients[~seen.real].any()


def test_a_layer_without_heads_has_no_gradients_of_any(model: SlimBertPreTrainedModel) -> None:
    headless = remove_heads(model, {0: range(4)})
    assert unit_gradients(headless, evidence())[Part(0, "heads")].shape == (10, 0)


def test_the_model_is_left_as_it_was(model: SlimBertPreTrainedModel) -> None:
    model.train()
    unit_gradients(model, evidence())
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(("weight", "message"), [(float("nan"), "not all finite"), (0.0, "are 0")])
def test_gradients_that_say_nothing(
    model: SlimBertPreTrainedModel, weight: float, message: str
) -> None:
    with torch.no_grad():
        model.classifier.weight.fill_(weight)
    with pytest.raises(BertslimError, match=message):
        unit_gradients(model, evidence())
