import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from bertslim.errors import CheckpointError
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths
from bertslim.model.loading import load_model, save_model, stock_reasons, zero_padded_twin
from bertslim.model.modeling import SlimBertForSequenceClassification
from bertslim.model.surgery import keep_hidden, keep_layers, remove_ffn_units, remove_heads
from tests.model.test_surgery import shared
from tests.model.zoo import FAMILIES, batch, run, same, save_stock, uneven


@pytest.mark.parametrize("family", FAMILIES)
def test_the_twin_opens_in_transformers_with_the_same_outputs(family: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "in", family, "text-classification"))
    model = remove_ffn_units(remove_heads(model, {0: (1, 2), 1: range(4)}), {0: range(9)})
    twin = zero_padded_twin(model)
    assert stock_reasons(twin.config) == []
    expected = run(model, **batch(family)).logits
    assert same(run(twin, **batch(family)).logits, expected)
    save_model(twin, tmp_path / "out", tokenizer_from=None)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert type(theirs).__name__ == f"{family}ForSequenceClassification"
    assert same(run(theirs, **batch(family)).logits, expected, 1e-5)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_shared_keys_are_repeated(kv_heads: int) -> None:
    model = remove_heads(shared(kv_heads), {1: (0, 2)})
    assert same(run(zero_padded_twin(model), **batch()).logits, run(model, **batch()).logits)


def test_every_reason_is_named(tmp_path: Path) -> None:
    model = remove_ffn_units(uneven(tmp_path), {1: (0,)})
    widths = list(layer_widths(model.config))
    widths[0] = dataclasses.replace(widths[0], kv_heads=1, window=4)
    assert stock_reasons(with_widths(model.config, widths)) == [
        "layer 0 has 2 heads of 8, which do not fill the hidden size of 32",
        "layer 1 has 0 heads of 8, which do not fill the hidden size of 32",
        "layer 0 shares 1 key/value heads among 2 heads",
        "FFN widths differ between layers",
        "layer 0 attends within a window of 4",
    ]


def test_a_window_has_no_twin() -> None:
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_attention_heads=4,
        num_hidden_layers=1,
        attention_window=4,
        pooler_activation="tanh",
    )
    with pytest.raises(CheckpointError, match="bert cannot express this model: layer 0 attends"):
        zero_padded_twin(SlimBertForSequenceClassification(config))


def test_settings_outside_the_family_have_no_twin() -> None:
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_attention_heads=4,
        num_hidden_layers=1,
        embedding_size=16,
        type_vocab_size=0,
        mlm_activation="relu",
    )
    with pytest.raises(CheckpointError) as caught:
        zero_padded_twin(SlimBertForSequenceClassification(config))
    assert str(caught.value).splitlines()[1:] == [
        "  - embedding_size is 16, and bert has 32",
        "  - mlm_activation is relu, and bert has gelu",
        "  - pooler_activation is None, and bert has tanh",
        "  - it has no token types, and bert needs them",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_evenly_cut_models_are_stock(family: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "in", family, "text-classification"))
    cut = keep_layers(remove_ffn_units(model, {0: range(16), 1: range(16)}), [1])
    save_model(cut, tmp_path / "out", tokenizer_from=None)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert theirs.config.num_hidden_layers == 1
    with torch.no_grad():
        assert same(theirs(**batch(family)).logits, cut(**batch(family)).logits, 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrower_model_is_stock_where_its_heads_fill_it(family: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "in", family, "text-classification"))
    cut = keep_hidden(remove_heads(model, {0: (1,), 1: (2,)}), range(24))
    assert stock_reasons(cut.config) == []
    expected = run(cut, **batch(family)).logits
    for made, name in ((cut, "cut"), (zero_padded_twin(remove_heads(cut, {0: (1,)})), "twin")):
        save_model(made, tmp_path / name, tokenizer_from=None)
        theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / name)
        assert type(theirs).__name__ == f"{family}ForSequenceClassification"
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut")
    assert same(run(theirs, **batch(family)).logits, expected, 1e-5)


@pytest.mark.parametrize(
    ("channels", "reason", "twin_reason"),
    [
        (
            24,
            "layer 0 has 4 heads of 8, which are wider than the hidden size of 24",
            "4 heads of 8",
        ),
        (20, "layer 0 has 4 heads of 8, which are wider than the hidden size of 20", "no multiple"),
    ],
)
def test_a_narrower_model_that_its_heads_do_not_fit_is_explained(
    channels: int, reason: str, twin_reason: str, tmp_path: Path
) -> None:
    model = load_model(save_stock(tmp_path / "in", "Bert", "text-classification"))
    cut = keep_hidden(model, range(channels))
    assert stock_reasons(cut.config)[0] == reason
    with pytest.raises(CheckpointError, match=f"{twin_reason}.*LayerNorm cannot be padded"):
        zero_padded_twin(cut)
    save_model(cut, tmp_path / "out", tokenizer_from=None)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert type(theirs).__name__ == "SlimBertForSequenceClassification"
    assert same(run(theirs, **batch()).logits, run(cut, **batch()).logits, 1e-5)
