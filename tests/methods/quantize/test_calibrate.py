import math
from dataclasses import replace

import pytest
import torch

from bertslim.errors import CheckpointError
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.observe import Rows, observe
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from tests.methods.quantize.models import (
    classifier,
    config,
    encoder,
    made,
    rows,
    tagger,
    token_rows,
    uneven,
)


def settings(method: str = "minmax", percentile: float = 99.99, products: bool = True) -> Quantize:
    return Quantize(Calibration(method, percentile), products, smooth=False, scheme="symmetric")


def quantized(model: SlimBertPreTrainedModel, data: Rows) -> Quantization:
    return quantize(model, settings(), data)[0]


@pytest.mark.parametrize("make", [classifier, tagger, uneven, encoder])
def test_ranges_are_those_of_what_was_seen(make: object) -> None:
    model = make()
    ends: dict[str, list[float]] = {}

    def see(path: str, x: torch.Tensor) -> None:
        low, high = ends.setdefault(path, [0.0, 0.0])
        ends[path] = [min(low, float(x.min())), max(high, float(x.max()))]

    leaders = observe(model, rows(3), see)
    found = quantized(model, rows(3))
    assert {path: [r.low, r.high] for path, r in found.inputs.items()} == {
        path: ends[leader] for path, leader in leaders.items()
    }


def test_the_query_is_seen_as_the_graph_has_it() -> None:
    model = tagger()
    largest = {}
    observe(
        model,
        rows(),
        lambda *_: None,
        lambda path, y: largest.update({path: max(largest.get(path, 0.0), float(y.abs().max()))}),
    )
    found = quantized(model, rows()).products
    query, key = "bert.layers.1.attention.query", "bert.layers.1.attention.key"
    assert found[query].magnitude == pytest.approx(largest[query] / math.sqrt(8))
    assert found[key].magnitude == pytest.approx(largest[key])


def test_products_are_left_out_unless_asked_for() -> None:
    found, _ = quantize(tagger(), settings(products=False), rows())
    assert found.products == {}
    layers = quantized(uneven(), rows()).products
    assert {path.split(".")[2] for path in layers} == {"0", "2"}
    assert len(layers) == 6


def test_the_table_of_a_masked_language_model_stays_in_float() -> None:
    """Its decoder is the same table."""
    assert quantized(tagger(), rows()).embedding
    assert not quantized(made(SlimBertForMaskedLM, config()), rows()).embedding


@pytest.mark.parametrize("method", ["entropy", "percentile", "mse", "minmax"])
@pytest.mark.parametrize("lengths", [[1], [9], [1, 1, 1]])
def test_little_is_enough(method: str, lengths: list[int]) -> None:
    model = classifier()
    found, report = quantize(model, settings(method), rows(lengths=lengths))
    assert len(found.inputs) == 12
    assert all(r.low <= 0 <= r.high and r.scale > 0 for r in found.inputs.values())
    assert report.examples == len(lengths)


def test_the_report_tells_how_far_the_values_went() -> None:
    found, report = quantize(tagger(), settings("percentile", 90), rows())
    whole = quantized(tagger(), rows())
    assert report.peaks == {path: r.magnitude for path, r in whole.inputs.items()}
    assert all(r.magnitude < report.peaks[path] for path, r in found.inputs.items())


@pytest.mark.parametrize("smooth", [False, True])
def test_values_that_are_no_numbers_name_the_layer(smooth: bool) -> None:
    model = tagger()
    with torch.no_grad():
        model.encoder.layers[1].attention_norm.weight[3] = math.nan
    with pytest.raises(CheckpointError, match=r"at bert.layers.1.ffn.intermediate there are") as e:
        quantize(model, replace(settings(), smooth=smooth), rows())
    assert e.value.hint


@pytest.mark.parametrize("method", ["entropy", "mse", "minmax"])
def test_bf16_finds_much_the_same_ranges(method: str) -> None:
    data = token_rows([30] * 40)
    exact, _ = quantize(tagger(), settings(method), Rows(data, 8))
    found, _ = quantize(tagger(), settings(method), Rows(data, 8, precision="bf16"))
    for path in exact.inputs:
        expected = exact.inputs[path].magnitude
        assert found.inputs[path].magnitude == pytest.approx(expected, rel=0.1), path
