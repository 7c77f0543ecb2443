"""A gated model, and the smaller one whose weights have the gates in them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.configuration import layer_widths
from bertslim.model.folding import fold_gates, without_closed
from bertslim.model.layers import LayerNorm
from bertslim.model.loading import load_model, save_model
from bertslim.model.modeling import Gates, SlimBertOutput, SlimBertPreTrainedModel
from bertslim.model.surgery import keep_hidden
from bertslim.store.checkpoint import open_checkpoint
from tests.model.test_surgery import shared
from tests.model.zoo import ALL, batch, run, same, save_stock, uneven

CASES = [
    (family, kind, hidden)
    for family, kind in ALL
    for hidden in (False, True)
    if not (hidden and kind == "masked-lm")
]
LOGITS = ("logits", "start_logits", "end_logits")


def drawn(model: SlimBertPreTrainedModel, *, hidden: bool, binary: bool = False) -> Gates:
    """Gates of which a third is closed and the rest lies between 0.3 and 1."""
    generator = torch.Generator().manual_seed(3)

    def gate(size: int) -> Tensor:
        value = 0.3 + 0.7 * torch.rand(size, generator=generator)
        value = torch.ones(size) if binary else value
        return value * (torch.rand(size, generator=generator) > 1 / 3)

    widths = layer_widths(model.config)
    return Gates(
        heads=[gate(layer.heads) for layer in widths],
        ffn=[gate(layer.intermediate_size) for layer in widths],
        hidden=gate(model.config.hidden_size) if hidden else None,
    )


def assert_same_outputs(small: SlimBertOutput, gated: SlimBertOutput, gates: Gates) -> None:
    assert set(small) == set(gated)
    kept = slice(None) if gates.hidden is None else gates.hidden > 0
    for name in set(gated):
        expected = gated[name] if name in LOGITS else gated[name][..., kept]
        assert same(small[name], expected, 1e-5), name


@pytest.mark.parametrize(("family", "kind", "hidden"), CASES)
def test_the_folded_and_cut_model_computes_what_the_gated_one_does(
    family: str, kind: str | None, hidden: bool, tmp_path: Path
) -> None:
    model = load_model(save_stock(tmp_path / "in", family, kind))
    gates = drawn(model, hidden=hidden, binary=kind is None)
    small = without_closed(model, gates)
    expected = run(model, **batch(family), gates=gates)
    assert_same_outputs(run(small, **batch(family)), expected, gates)
    save_model(small, tmp_path / "out", tokenizer_from=None)
    again = load_model(open_checkpoint(tmp_path / "out"))
    assert_same_outputs(run(again, **batch(family)), expected, gates)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_heads_that_share_keys_can_be_gated(kv_heads: int) -> None:
    model = shared(kv_heads)
    gates = drawn(model, hidden=True)
    expected = run(model, **batch(), gates=gates)
    assert_same_outputs(run(without_closed(model, gates), **batch()), expected, gates)


def test_what_was_cut_before_can_be_cut_again(tmp_path: Path) -> None:
    model = uneven(tmp_path, "token-classification")
    for _ in range(2):
        gates = drawn(model, hidden=True)
        small = without_closed(model, gates)
        expected = run(model, **batch(), gates=gates)
        assert_same_outputs(run(small, **batch()), expected, gates)
        model = small


def test_folding_alone_keeps_the_shape_and_the_outputs(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Bert", "question-answering"))
    gates = drawn(model, hidden=False)
    folded = fold_gates(model, gates)
    assert layer_widths(folded.config) == layer_widths(model.config)
    assert_same_outputs(run(folded, **batch()), run(model, **batch(), gates=gates), gates)


def test_a_norm_over_the_open_channels_is_that_of_a_narrower_model() -> None:
    torch.manual_seed(0)
    wide, narrow = LayerNorm(12), LayerNorm(7)
    with torch.no_grad():
        wide.weight.normal_(), wide.bias.normal_()
        gate = torch.zeros(12)
        gate[[0, 2, 3, 5, 8, 9, 11]] = torch.rand(7) + 0.1
        kept = gate > 0
        narrow.weight.copy_(wide.weight[kept]), narrow.bias.copy_(wide.bias[kept])
    x = torch.randn(2, 5, 12) * 3 + 1
    gated = wide(x, gate)
    assert same(gated[..., kept], narrow(x[..., kept]) * gate[kept], 1e-6)
    assert not gated[..., ~kept].any()
    # what stands in closed channels is not looked at
    assert wide(x.masked_fill(~kept, 1e4), gate).equal(gated)
    assert same(wide(x, torch.ones(12)), wide(x), 1e-6)
    assert not wide(x, torch.zeros(12)).any()


def test_hidden_gates_act_per_example_and_take_gradients(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Electra", "text-classification"))
    gate = (torch.rand(3, 32) > 0.3).float().requires_grad_()
    logits = model(**batch("Electra"), gates=Gates(hidden=gate)).logits
    for row in range(3):
        alone = run(model, **batch("Electra"), gates=Gates(hidden=gate[row].detach()))
        assert same(alone.logits[row], logits[row], 1e-5)
    logits.square().sum().backward()
    assert gate.grad is not None
    assert bool((gate.grad != 0).any(dim=1).all())


def test_what_cannot_be_folded_is_explained(tmp_path: Path) -> None:
    words = load_model(save_stock(tmp_path / "words", "Bert", "masked-lm"))
    half = torch.full((32,), 0.5)
    with pytest.raises(ValueError, match="masked language model's hidden state cannot be gated"):
        fold_gates(words, Gates(hidden=half))
    with pytest.raises(ValueError, match="masked language model's hidden state cannot be gated"):
        run(words, **batch(), gates=Gates(hidden=half))
    encoder = load_model(save_stock(tmp_path / "encoder", "Bert", None))
    with pytest.raises(ValueError, match="the pooler's output has no weight behind it"):
        fold_gates(encoder, Gates(hidden=half))
    with pytest.raises(ValueError, match="gates that differ between examples"):
        fold_gates(encoder, Gates(heads=[torch.ones(3, 4)] * 2))


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_a_narrower_model_keeps_the_rows_and_columns_of_the_kept_channels(
    family: str, kind: str | None, tmp_path: Path
) -> None:
    model = load_model(save_stock(tmp_path / "in", family, kind))
    kept = [0, 1, 2, 3, 9, 10, 11, 12, 20, 30]
    small = keep_hidden(model, kept[::-1])
    assert small.config.hidden_size == 10
    assert {layer.head_dim for layer in layer_widths(small.config)} == {8}
    old, new = model.encoder.layers[1], small.encoder.layers[1]
    assert new.attention.query.weight.equal(old.attention.query.weight[:, kept])
    assert new.ffn.output.weight.equal(old.ffn.output.weight[kept])
    assert run(small, **batch(family))[0].isfinite().all()
    save_model(small, tmp_path / "out", tokenizer_from=None)
    assert load_model(open_checkpoint(tmp_path / "out")).config.hidden_size == 10


def test_channels_that_are_not_there_cannot_be_kept(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Bert", None))
    with pytest.raises(ValueError, match="there is no hidden channel 32, but 32"):
        keep_hidden(model, [0, 32])


def test_a_projection_is_not_lost(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Electra", None))
    assert keep_hidden(model, range(17)).config.embedding_size == 16
    with pytest.raises(ValueError, match="16 hidden channels are as many as the embeddings have"):
        keep_hidden(model, range(16))
