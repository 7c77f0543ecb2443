import math

import pytest
import torch

from bertslim.errors import CheckpointError
from bertslim.methods.quantize.half import half_islands
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from tests.methods.quantize.models import classifier, config, encoder, made, rows, tagger, uneven

NORM = "bert.layers.0.ffn_norm"
OUTPUT = "bert.layers.0.ffn.output"


def scaled(model: SlimBertPreTrainedModel, parameter: str, factor: float) -> None:
    with torch.no_grad():
        model.get_parameter(parameter).mul_(factor)


@pytest.mark.parametrize(
    "make", [tagger, classifier, uneven, encoder, lambda: made(SlimBertForMaskedLM, config())]
)
def test_ordinary_models_need_no_islands(make: object) -> None:
    found = half_islands(make(), rows())
    assert (found.islands, found.beyond, found.products) == ({}, {}, ())


def test_a_product_and_the_sum_after_it_that_go_too_far_are_islands() -> None:
    model = tagger()
    scaled(model, f"{OUTPUT}.weight", 1e5)
    found = half_islands(model, rows())
    assert found.islands.keys() == {OUTPUT, NORM}
    assert "fp16 ends at 65504" in found.islands[NORM]
    # the norm takes care of it, but the product itself has weights
    assert found.products == (OUTPUT,)
    assert found.beyond == {}


def test_a_sum_alone_can_go_too_far() -> None:
    """Both of what is added fit, with the headroom; the norm's sum does not."""
    model = tagger()
    with torch.no_grad():
        model.get_parameter(f"{OUTPUT}.bias").fill_(25000.0)
        model.get_parameter("bert.layers.0.attention_norm.bias").fill_(25000.0)
    scaled(model, "bert.layers.0.ffn.intermediate.weight", 1e-6)
    found = half_islands(model, rows())
    assert found.islands.keys() == {NORM}
    assert found.products == ()


def test_padding_counts() -> None:
    model = tagger()
    with torch.no_grad():
        model.get_parameter("bert.embeddings.word_embeddings.weight")[0] = 4e4
    assert half_islands(model, rows(1)).islands == {}
    assert "bert.embeddings.layer_norm" in half_islands(model, rows(4)).islands


def test_what_no_island_helps_is_told_apart() -> None:
    model = tagger()
    scaled(model, "bert.layers.1.attention.query.weight", 3e3)
    scaled(model, "bert.layers.1.attention.key.weight", 3e3)
    found = half_islands(model, rows())
    assert found.beyond.keys() == {"bert.layers.1.attention"}
    scaled(model, "bert.embeddings.word_embeddings.weight", 1e6)
    assert "bert.embeddings.word_embeddings" in half_islands(model, rows()).beyond


def test_weights_beyond_fp16_and_weights_that_vanish_are_named() -> None:
    model = tagger()
    with torch.no_grad():
        model.get_parameter(f"{OUTPUT}.weight")[0, 0] = 7e4
    scaled(model, "bert.layers.1.ffn.output.weight", 1e-10)
    found = half_islands(model, rows())
    assert found.islands[OUTPUT] == "its weight reaches 7e+04; fp16 ends at 65504"
    assert "which is 0 in fp16" in found.islands["bert.layers.1.ffn.output"]
    assert set(found.products) == {OUTPUT, "bert.layers.1.ffn.output"}


def test_values_that_are_no_numbers_even_in_fp32_are_refused() -> None:
    model = tagger()
    with torch.no_grad():
        model.get_parameter(f"{NORM}.weight")[3] = math.nan
    with pytest.raises(CheckpointError, match="breaks down on these rows"):
        half_islands(model, rows())
