import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths
from bertslim.model.layers import Attention, attention_bias
from bertslim.model.loading import load_model
from bertslim.model.modeling import Gates, SlimBertModel
from tests.model.zoo import batch, randomise, run, same, save_stock, uneven


def encoder(window: int | None = None, kv_heads: int = 4) -> SlimBertModel:
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        initializer_range=0.3,
    )
    widths = [
        dataclasses.replace(w, window=window, kv_heads=kv_heads) for w in layer_widths(config)
    ]
    torch.manual_seed(0)
    model = SlimBertModel(with_widths(config, widths)).eval()
    randomise(model)
    return model


def test_gradients_reach_the_gates_of_every_example(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Bert", "text-classification")).requires_grad_(False)
    heads = [torch.ones(3, 4, requires_grad=True) for _ in range(2)]
    units = [torch.ones(3, 48, requires_grad=True) for _ in range(2)]
    labels = torch.tensor([0, 1, 2])
    model(**batch(), labels=labels, gates=Gates(heads, units)).loss.backward()
    for gate in (*heads, *units):
        assert gate.grad is not None
        assert gate.grad.shape == gate.shape
        assert bool((gate.grad != 0).any(dim=1).all())
    # the loss is a mean, so an example's gates get the gradient that it has alone, over the batch
    alone = [torch.ones(4, requires_grad=True) for _ in range(2)]
    first = {name: tensor[:1] for name, tensor in batch().items()}
    model(**first, labels=labels[:1], gates=Gates(heads=alone)).loss.backward()
    for together, single in zip(heads, alone, strict=True):
        assert same(together.grad[0] * 3, single.grad, 1e-5)


def test_gates_of_one_change_nothing_and_act_per_example() -> None:
    model = encoder()
    plain = run(model, **batch()).last_hidden_state
    ones = Gates([torch.ones(4)] * 2, [torch.ones(3, 48)] * 2)
    assert same(run(model, **batch(), gates=ones).last_hidden_state, plain)
    mixed = torch.ones(3, 4)
    mixed[1] = 0
    gated = run(model, **batch(), gates=Gates([mixed, torch.ones(4)])).last_hidden_state
    silent = run(model, **batch(), gates=Gates([torch.zeros(4), torch.ones(4)])).last_hidden_state
    assert same(gated[0], plain[0])
    assert same(gated[1], silent[1])


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 4])
def test_attention_is_the_same_with_and_without_scores(kv_heads: int, window: int | None) -> None:
    model = encoder(window, kv_heads)
    outputs = run(model, **batch(), output_attention_scores=True)
    assert same(outputs.last_hidden_state, run(model, **batch()).last_hidden_state, 1e-5)
    assert [scores.shape for scores in outputs.attention_scores] == [(3, 4, 12, 12)] * 2


def test_scores_are_raw_products(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    outputs = run(model, **batch(), output_attention_scores=True, output_hidden_states=True)
    attention = model.encoder.layers[0].attention
    x = outputs.hidden_states[0]
    q, k = attention.query(x), attention.key(x)
    # head 1 of 2, no mask: q.k / sqrt(8)
    expected = q[..., 8:] @ k[..., 8:].transpose(1, 2) / 8**0.5
    assert same(outputs.attention_scores[0][:, 1], expected, 1e-5)
    assert outputs.attention_scores[1].shape == (3, 0, 12, 12)


def test_an_attention_without_heads_computes_nothing(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    empty = model.encoder.layers[1].attention
    called = []
    for name, part in empty.named_children():
        part.register_forward_hook(lambda *_, name=name: called.append(name))
    with_gradients = model(**batch()).logits
    assert called == ["query", "key", "value", "probs_dropout", "output"]
    called.clear()
    assert same(run(model, **batch()).logits, with_gradients)
    assert called == []


def test_empty_weights_have_gradients(tmp_path: Path) -> None:
    """DistributedDataParallel waits for the gradient of every weight."""
    model = uneven(tmp_path)
    model(**batch(), labels=torch.tensor([0, 1, 2])).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_a_window_hides_what_is_far() -> None:
    hidden = torch.zeros(1, 6, 8)
    bias = attention_bias(None, 2, hidden)
    assert bias is not None
    assert bias[0, 0].eq(0).int().tolist() == [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 0, 1, 1, 1, 0],
        [1, 0, 0, 1, 1, 1],
        [1, 0, 0, 0, 1, 1],
    ]
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    padded = attention_bias(mask, 2, hidden)
    assert padded is not None
    assert padded[0, 0].eq(0).equal(bias[0, 0].eq(0) & mask.bool())


def test_no_bias_is_made_where_everything_is_attended() -> None:
    hidden = torch.zeros(2, 5, 8)
    assert attention_bias(None, None, hidden) is None
    assert attention_bias(torch.ones(2, 5), None, hidden) is None
    assert attention_bias(torch.ones(2, 5), 8, hidden) is None
    assert attention_bias(torch.tensor([[1, 1, 1, 1, 0]]), None, hidden) is not None


def test_padding_changes_no_real_token() -> None:
    model = encoder()
    long = batch()
    short = {name: tensor[1:2, :7] for name, tensor in long.items()}
    expected = run(model, **short).last_hidden_state
    assert same(run(model, **long).last_hidden_state[1:2, :7], expected, 1e-5)


def test_a_sequence_of_padding_alone_stays_finite() -> None:
    inputs = batch()
    inputs["attention_mask"] = torch.zeros(3, 12, dtype=torch.long)
    for window in (None, 4):
        for scores in (False, True):
            outputs = run(encoder(window), **inputs, output_attention_scores=scores)
            assert bool(outputs.last_hidden_state.isfinite().all())


def test_bf16_autocast_runs_with_padding_and_windows() -> None:
    model = encoder(window=4)
    with torch.autocast("cpu", torch.bfloat16):
        low = run(model, **batch()).last_hidden_state
    assert same(low.float(), run(model, **batch()).last_hidden_state, 0.2)


def test_dropout_acts_only_in_training_and_above_zero() -> None:
    model = encoder().train()
    first, second = (run(model, **batch()).last_hidden_state for _ in range(2))
    assert not first.equal(second)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    assert same(run(model, **batch()).last_hidden_state, run(model.eval(), **batch())[0])


def test_keys_must_be_shared_evenly() -> None:
    config = SlimBertConfig(hidden_size=32, num_attention_heads=4)
    widths = dataclasses.replace(layer_widths(config)[0], kv_heads=3)
    with pytest.raises(ValueError, match="4 query heads cannot share 3 key/value heads evenly"):
        Attention(config, widths)


def test_uneven_widths_survive_the_configuration_file() -> None:
    config = SlimBertConfig(num_hidden_layers=12)
    widths = [
        dataclasses.replace(w, heads=n, kv_heads=n, window=n or None, intermediate_size=n * 8)
        for n, w in enumerate(layer_widths(config))
    ]
    uneven_config = with_widths(config, widths)
    assert layer_widths(uneven_config) == tuple(widths)
    assert layer_widths(SlimBertConfig.from_dict(uneven_config.to_dict())) == tuple(widths)
    assert layer_widths(with_widths(uneven_config, layer_widths(config))) == layer_widths(config)
    assert with_widths(config, []).num_hidden_layers == 0
