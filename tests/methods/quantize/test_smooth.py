import pytest
import torch
from torch import Tensor

from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.simulate import simulated
from bertslim.methods.quantize.smooth import (
    LARGEST_FACTOR,
    SAMPLE,
    Channels,
    factors,
    output_error,
    smoothing_factors,
)
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from tests.methods.quantize.models import classifier, outputs, rows, tagger

MINMAX = Calibration("minmax")


def tokens(count: int = 300) -> Tensor:
    """Channel 3 is a hundred times the others."""
    x = torch.randn(count, 16, generator=torch.Generator().manual_seed(0))
    x[:, 3] *= 100
    return x


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 16, generator=generator), torch.randn(4, 16, generator=generator)]


def channels(*parts: Tensor) -> Channels:
    found = Channels()
    for part in parts:
        found.add(part)
    return found


@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_factors_are_those_of_the_paper_up_to_a_constant(alpha: float) -> None:
    x, w = tokens(), weights()
    s = factors(x.abs().amax(dim=0), w, alpha)
    expected = [
        float(x[:, j].abs().max()) ** alpha
        / max(float(w[0][:, j].abs().max()), float(w[1][:, j].abs().max())) ** (1 - alpha)
        for j in range(16)
    ]
    ratio = s / torch.tensor(expected)
    torch.testing.assert_close(ratio, ratio[:1].expand(16))
    assert float(s.log().mean()) == pytest.approx(0, abs=1e-6)


def test_silent_channels_are_left_alone() -> None:
    x, w = tokens(), weights()
    x[:, 5] = 0
    for part in w:
        part[:, 7] = 0
    s = factors(x.abs().amax(dim=0), w, 0.5)
    assert s[5] == s[7] == 1
    assert torch.all(s.isfinite() & (s > 0))


def test_nothing_but_silence_is_left_alone() -> None:
    assert factors(torch.zeros(16), weights(), 0.5).tolist() == [1.0] * 16


def test_factors_do_not_run_away() -> None:
    largest = torch.ones(16)
    largest[0] = 1e12
    s = factors(largest, weights(), 0.9)
    assert float(s.max()) == LARGEST_FACTOR
    assert float(s.min()) >= 1 / LARGEST_FACTOR


def test_smoothing_takes_the_error_of_outliers_away() -> None:
    x, w = tokens(), weights()
    w = [part * torch.linspace(0.1, 2, 16) for part in w]
    plain = output_error(x, w, torch.ones(16), MINMAX, "symmetric")
    smooth = output_error(x, w, factors(x.abs().amax(dim=0), w, 0.8), MINMAX, "symmetric")
    assert smooth < plain / 5


def test_only_groups_that_it_serves_are_smoothed() -> None:
    even = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    layer = torch.nn.Linear(16, 8)
    found = smoothing_factors(
        {"outliers": channels(tokens()), "even": channels(even)},
        {"outliers": [layer], "even": [layer]},
        MINMAX,
        "symmetric",
    )
    assert list(found) == ["outliers"]
    assert found["outliers"].argmax() == 3


def test_largest_values_are_of_all_tokens_and_the_sample_is_fair() -> None:
    numbers = torch.arange(4000.0)[:, None].repeat(1, 2)
    found = channels(*numbers.split(100))
    assert found.largest.tolist() == [3999, 3999]
    kept = found.tokens[:, 0]
    assert len(kept.unique()) == SAMPLE
    # of 4,000 numbers, about as many from each quarter
    per_quarter = torch.histc(kept, 4, 0, 4000)
    assert torch.all((per_quarter - SAMPLE / 4).abs() < 40)


def test_few_tokens_are_all_kept() -> None:
    assert sorted(channels(tokens(3), tokens(2)).tokens[:, 0].tolist()) == sorted(
        [*tokens(3)[:, 0].tolist(), *tokens(2)[:, 0].tolist()]
    )


def with_outliers(model: SlimBertPreTrainedModel) -> SlimBertPreTrainedModel:
    """Post-LN's outliers: one channel of each norm is large, and its readers' weights are small."""
    with torch.no_grad():
        for layer in model.encoder.layers:
            for norm in (layer.attention_norm, layer.ffn_norm):
                norm.weight[7] *= 40
            readers = (layer.attention.query, layer.attention.key, layer.attention.value)
            for reader in (*readers, layer.ffn.intermediate):
                reader.weight[:, 7] /= 40
    return model


def quantized(model: SlimBertPreTrainedModel, smooth: bool) -> Quantization:
    return quantize(model, Quantize(MINMAX, False, smooth, "symmetric"), rows())[0]


@pytest.mark.parametrize("make", [tagger, classifier])
def test_a_model_with_outliers_loses_less(make: object) -> None:
    model = with_outliers(make())
    expected, errors = outputs(model), []
    for smooth in (False, True):
        with simulated(model, quantized(model, smooth), "symmetric"):
            errors.append(float((outputs(model) - expected).square().mean()))
    assert errors[1] < errors[0] / 2


def test_layers_with_one_input_have_the_same_factors_and_ranges() -> None:
    found = quantized(with_outliers(tagger()), smooth=True)
    attention = "bert.layers.1.attention"
    query, key = found.smoothing[f"{attention}.query"], found.smoothing[f"{attention}.key"]
    assert query == key == found.smoothing[f"{attention}.value"]
    assert len(query) == 32
    assert found.inputs[f"{attention}.query"] == found.inputs[f"{attention}.value"]


def test_ranges_are_those_of_the_smoothed_input() -> None:
    model = with_outliers(tagger())
    plain, smooth = quantized(model, smooth=False), quantized(model, smooth=True)
    path = "bert.layers.1.attention.query"
    assert smooth.inputs[path].magnitude < plain.inputs[path].magnitude / 4


def test_smoothing_of_nothing_changes_no_output() -> None:
    """(x / s) (W * s)^T is x W^T, but for rounding."""
    model = with_outliers(tagger())
    found = quantized(model, smooth=True)
    path = "bert.layers.1.ffn.intermediate"
    s = torch.tensor(found.smoothing[path])
    layer = model.get_submodule(path)
    x = tokens()[:, :1].repeat(1, 32)
    product = (x / s) @ (layer.weight * s).T
    torch.testing.assert_close(product, x @ layer.weight.T, rtol=1e-4, atol=1e-3)
