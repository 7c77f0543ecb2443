from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.configuration import layer_widths, with_widths
from bertslim.model.loading import KINDS, load_model, save_model
from bertslim.model.modeling import (
    Gates,
    SlimBertForSequenceClassification,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.model.surgery import keep_layers, remove_ffn_units, remove_heads
from bertslim.store.checkpoint import open_checkpoint
from tests.model.zoo import batch, randomise, run, same, save_stock


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SlimBertPreTrainedModel:
    return load_model(save_stock(tmp_path_factory.mktemp("bert"), "Bert", "text-classification"))


def shared(kv_heads: int) -> SlimBertPreTrainedModel:
    """A model whose four query heads share keys and values."""
    import dataclasses

    from bertslim.model.configuration import SlimBertConfig

    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        pooler_activation="tanh",
        initializer_range=0.3,
    )
    widths = [dataclasses.replace(w, kv_heads=kv_heads) for w in layer_widths(config)]
    torch.manual_seed(0)
    model = SlimBertForSequenceClassification(with_widths(config, widths)).eval()
    randomise(model)
    return model


def silencing(sizes: list[int], silent: dict[int, tuple[int, ...]]) -> list[Tensor]:
    gates = [torch.ones(size) for size in sizes]
    for layer, members in silent.items():
        gates[layer][list(members)] = 0
    return gates


@pytest.mark.parametrize("gone", [{0: (1,)}, {0: (0, 3), 1: (2,)}, {1: (0, 1, 2, 3)}])
def test_a_silent_head_can_be_cut(
    model: SlimBertPreTrainedModel, gone: dict[int, tuple[int, ...]]
) -> None:
    gates = Gates(heads=silencing([4, 4], gone))
    cut = remove_heads(model, gone)
    assert [w.heads for w in layer_widths(cut.config)] == [4 - len(gone.get(n, ())) for n in (0, 1)]
    assert same(run(cut, **batch()).logits, run(model, **batch(), gates=gates).logits)


@pytest.mark.parametrize("gone", [{0: tuple(range(0, 48, 5))}, {0: (1,), 1: tuple(range(48))}])
def test_a_silent_ffn_unit_can_be_cut(
    model: SlimBertPreTrainedModel, gone: dict[int, tuple[int, ...]]
) -> None:
    gates = Gates(ffn=silencing([48, 48], gone))
    cut = remove_ffn_units(model, gone)
    left = [48 - len(gone.get(n, ())) for n in (0, 1)]
    assert [w.intermediate_size for w in layer_widths(cut.config)] == left
    assert same(run(cut, **batch()).logits, run(model, **batch(), gates=gates).logits)


@pytest.mark.parametrize(
    ("kv_heads", "gone", "kv_left"),
    [(2, (0, 2), 2), (2, (0, 1), 1), (2, (3,), 3), (1, (1, 2), 1), (1, (0, 1, 2, 3), 0)],
)
def test_heads_that_share_keys_can_be_cut(
    kv_heads: int, gone: tuple[int, ...], kv_left: int
) -> None:
    model = shared(kv_heads)
    gates = Gates(heads=silencing([4, 4], {1: gone}))
    cut = remove_heads(model, {1: gone})
    assert layer_widths(cut.config)[1].kv_heads == kv_left
    assert same(run(cut, **batch()).logits, run(model, **batch(), gates=gates).logits)


def test_surgery_leaves_its_input_alone(model: SlimBertPreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = model.config.to_json_string()
    for cut in (
        remove_heads(model, {0: (0,)}),
        remove_ffn_units(model, {1: (5,)}),
        keep_layers(model, [1]),
    ):
        with torch.no_grad():
            for parameter in cut.parameters():
                parameter.add_(1.0)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert model.config.to_json_string() == config


def test_layers_can_be_dropped_reordered_and_repeated(model: SlimBertPreTrainedModel) -> None:
    kept = keep_layers(remove_heads(model, {1: (0,)}), [1, 0, 1])
    assert [w.heads for w in layer_widths(kept.config)] == [3, 4, 3]
    first, _, third = kept.encoder.layers
    weight = first.attention.query.weight
    assert weight.equal(third.attention.query.weight)
    assert weight.data_ptr() != third.attention.query.weight.data_ptr()
    states = run(keep_layers(model, [0]), **batch(), output_hidden_states=True).hidden_states
    whole = run(model, **batch(), output_hidden_states=True).hidden_states
    assert same(states[1], whole[1], 0.0)


def test_mode_is_kept(model: SlimBertPreTrainedModel) -> None:
    assert not remove_heads(model, {0: (0,)}).training
    assert remove_heads(remove_heads(model, {0: (0,)}).train(), {0: (0,)}).training


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({2: (0,)}, "there is no layer 2 among 2"), ({0: (4,)}, "layer 0 has no head 4, but 4")],
)
def test_what_is_not_there_cannot_be_removed(
    model: SlimBertPreTrainedModel, wanted: dict[int, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        remove_heads(model, wanted)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_prune_save_load_and_prune_again(kind: str | None, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "in", "Bert", kind))
    cut = remove_heads(model, {0: (0, 2), 1: range(4)})
    cut = remove_ffn_units(cut, {0: range(10), 1: range(48)})
    save_model(cut, tmp_path / "cut", tokenizer_from=None)
    loaded = load_model(open_checkpoint(tmp_path / "cut"))
    assert layer_widths(loaded.config) == layer_widths(cut.config)
    assert_equal_outputs(loaded, cut)
    again = remove_heads(loaded, {0: (1,)})
    save_model(again, tmp_path / "again", tokenizer_from=None)
    assert_equal_outputs(load_model(open_checkpoint(tmp_path / "again")), again)
    direct = remove_ffn_units(
        remove_heads(model, {0: (0, 2, 3), 1: range(4)}), {0: range(10), 1: range(48)}
    )
    assert_equal_outputs(again, direct)


def assert_equal_outputs(a: SlimBertPreTrainedModel, b: SlimBertPreTrainedModel) -> None:
    """The same weights, bit for bit; their products may depend on where in memory they lie."""
    assert all(torch.equal(b.state_dict()[name], w) for name, w in a.state_dict().items())
    left, right = run(a, **batch()), run(b, **batch())
    assert set(left) == set(right)
    assert all(same(left[name], right[name], 1e-6) for name in left)


def test_an_encoder_alone_can_be_cut(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Bert", None))
    gates = Gates(heads=silencing([4, 4], {0: (1,)}))
    cut = remove_heads(model, {0: (1,)})
    assert isinstance(cut, SlimBertModel)
    expected = run(model, **batch(), gates=gates).last_hidden_state
    assert same(run(cut, **batch()).last_hidden_state, expected)
