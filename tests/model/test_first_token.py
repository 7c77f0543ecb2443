"""A classifier of sequences: its last layer goes on with the first token alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.configuration import LayerWidths, SlimBertConfig, with_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import (
    Gates,
    SlimBertForSequenceClassification,
    SlimBertForTask,
    SlimBertOutput,
    SlimBertPreTrainedModel,
)
from tests.model.zoo import FAMILIES, batch, randomise, run, save_stock

FULL = LayerWidths(heads=4, kv_heads=4, head_dim=8, intermediate_size=48, window=None)
WINDOW = LayerWidths(heads=4, kv_heads=4, head_dim=8, intermediate_size=48, window=4)
WIDTHS = {
    "full": [FULL, FULL],
    "one layer": [FULL],
    "no layers": [],
    "windows": [WINDOW, WINDOW],
    "window before": [WINDOW, FULL],
    "window last": [FULL, WINDOW],
    "shared keys": [FULL, LayerWidths(6, 2, 8, 40, 6)],
    "no heads": [FULL, LayerWidths(0, 0, 8, 48, None)],
    "no units": [FULL, LayerWidths(4, 4, 8, 0, None)],
}


def classifier(widths: str, **settings: object) -> SlimBertForSequenceClassification:
    defaults = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_labels": 3}
    config = SlimBertConfig(**defaults, pooler_activation="tanh", **settings)
    torch.manual_seed(0)
    model = SlimBertForSequenceClassification(with_widths(config, WIDTHS[widths])).eval()
    randomise(model)
    return model


def last_tokens(model: SlimBertPreTrainedModel, **inputs: object) -> tuple[SlimBertOutput, int]:
    """Outputs, and how many tokens of the three sentences the last FFN saw."""
    seen: list[Tensor] = []
    ffn = model.encoder.layers[-1].ffn
    hook = ffn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    outputs = run(model, **inputs)
    hook.remove()
    return outputs, seen[0].shape[1]


def learn(model: SlimBertForTask, gates: Gates | None, *, whole: bool) -> list[Tensor]:
    """Loss, logits and all gradients."""
    model.zero_grad()
    labels = torch.tensor([0, 1, 2])
    outputs = model(**batch(), labels=labels, gates=gates, output_hidden_states=whole)
    outputs.loss.backward()
    found = [outputs.loss.detach(), outputs.logits.detach()]
    found += [p.grad.clone() for p in model.parameters() if p.grad is not None]
    for gate in (*(gates.heads or ()), *(gates.ffn or ())) if gates else ():
        found.append(gate.grad.clone())
        gate.grad = None
    return found


def per_example_gates(widths: list[LayerWidths]) -> Gates:
    generator = torch.Generator().manual_seed(2)

    def gate(size: int) -> Tensor:
        return torch.rand(3, size, generator=generator).requires_grad_()

    return Gates([gate(w.heads) for w in widths], [gate(w.intermediate_size) for w in widths])


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("widths", WIDTHS)
def test_outputs_and_gradients_are_those_of_the_whole_layer(widths: str, gated: bool) -> None:
    model = classifier(widths)
    gates = per_example_gates(WIDTHS[widths]) if gated else None
    narrow, whole = (learn(model, gates, whole=whole) for whole in (False, True))
    assert len(narrow) == len(whole) > 2
    for a, b in zip(narrow, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["text-classification", "text-regression"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str, kind: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, family, kind))
    narrow, tokens = last_tokens(model, **batch(family))
    whole, all_tokens = last_tokens(model, **batch(family), output_hidden_states=True)
    assert (tokens, all_tokens) == (1, 12)
    torch.testing.assert_close(narrow.logits, whole.logits, atol=1e-6, rtol=1e-5)


def test_states_and_scores_are_whole_where_they_are_wanted() -> None:
    model = classifier("window last")
    outputs, tokens = last_tokens(model, **batch(), output_hidden_states=True)
    assert (tokens, [x.shape for x in outputs.hidden_states]) == (12, [(3, 12, 32)] * 3)
    outputs, tokens = last_tokens(model, **batch(), output_attention_scores=True)
    assert (tokens, [x.shape for x in outputs.attention_scores]) == (12, [(3, 4, 12, 12)] * 2)
    first, tokens = last_tokens(model, **batch(), output_first_states=True)
    assert (tokens, [x.shape for x in first.hidden_states]) == (1, [(3, 1, 32)] * 3)
    whole = run(model, **batch(), output_hidden_states=True, output_first_states=True)
    for one, every in zip(first.hidden_states, whole.hidden_states, strict=True):
        torch.testing.assert_close(one, every[:, :1], atol=1e-6, rtol=1e-5)
    assert whole.hidden_states[0].shape == (3, 12, 32)
    model.config.output_hidden_states = True
    assert last_tokens(model, **batch())[1] == 12


@pytest.mark.parametrize("kind", [None, "token-classification", "question-answering", "masked-lm"])
def test_other_models_read_every_token(kind: str | None, tmp_path: Path) -> None:
    assert last_tokens(load_model(save_stock(tmp_path, "Bert", kind)), **batch())[1] == 12
