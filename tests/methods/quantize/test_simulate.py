import pytest
import torch
from torch import Tensor, nn

from bertslim.graph.emit import emit
from bertslim.graph.form import Form
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.grid import Grid, rounded_rows
from bertslim.methods.quantize.simulate import (
    Int8Attention,
    Int8Embedding,
    Int8Linear,
    simulated,
)
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization, Range
from tests.methods.quantize.models import (
    batch,
    classifier,
    config,
    encoder,
    made,
    outputs,
    rows,
    tagger,
    uneven,
)


def calibrated(model: SlimBertPreTrainedModel, *, products: bool = True) -> Quantization:
    return quantize(
        model, Quantize(Calibration("percentile", 99.0), products, False, "symmetric"), rows()
    )[0]


def layer(inputs: int = 6, out: int = 5) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(inputs, out).eval()


def tokens() -> Tensor:
    return torch.randn(9, 6, generator=torch.Generator().manual_seed(2)) * 2


@pytest.mark.parametrize("smoothing", [None, (0.5, 1.0, 2.0, 4.0, 1.0, 0.25)])
def test_a_linear_layer_multiplies_int8_by_int8(smoothing: tuple[float, ...] | None) -> None:
    """(x_q W_q^T) s_x s_w + b, in integers."""
    linear, x = layer(), tokens()
    s = torch.ones(6) if smoothing is None else torch.tensor(smoothing)
    x_q = (x / s / (3 / 127)).round().clamp(-128, 127).long()
    weight = linear.weight.detach() * s
    s_w = weight.abs().amax(dim=1) / 127
    w_q = (weight / s_w[:, None]).round().long()
    expected = (x_q @ w_q.T) * (3 / 127) * s_w + linear.bias
    int8 = Int8Linear(linear, Grid.over(Range(-3, 2), "symmetric"), smoothing).eval()
    torch.testing.assert_close(int8(x), expected, atol=1e-5, rtol=1e-5)
    assert int(x_q.abs().max()) == 128


def test_the_unsigned_scheme_has_a_zero_point() -> None:
    linear, x = layer(), tokens()
    step = (3 - -1) / 255
    codes = ((x / step).round() + 64).clamp(0, 255)  # 1 / step = 63.75
    expected = nn.functional.linear((codes - 64) * step, rounded_rows(linear.weight), linear.bias)
    int8 = Int8Linear(linear, Grid.over(Range(-1, 3), "unsigned"), None).eval()
    torch.testing.assert_close(int8(x), expected)


def test_rows_without_values_stay_zero() -> None:
    w = torch.stack([torch.zeros(4), torch.tensor([0.0, 1.0, -127.0, 63.4])])
    assert rounded_rows(w).tolist() == [[0, 0, 0, 0], [0, 1, -127, 63]]


@pytest.mark.parametrize("make", [classifier, tagger, uneven, encoder])
@pytest.mark.parametrize("products", [False, True])
def test_the_model_computes_as_its_graph_does(make: object, products: bool) -> None:
    """The graph's pairs of Quantize and Dequantize, run as they are written."""
    import onnxruntime

    model = make()
    found = calibrated(model, products=products)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = emit(model, Form(quantization=found)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in batch().items()}
    feeds["token_type_ids"] = torch.zeros_like(batch()["input_ids"]).numpy()
    expected = torch.from_numpy(session.run(None, feeds)[0])
    float_outputs = outputs(model)
    with simulated(model, found, "symmetric"):
        simulation = outputs(model)
    mask = batch()["attention_mask"].bool()
    if simulation.ndim == 3:
        simulation, expected, float_outputs = (
            x[mask] for x in (simulation, expected, float_outputs)
        )
    # a rounding that falls the other way moves an output by a step of one channel
    error = float((simulation - expected).square().mean())
    assert error < 0.02 * float((float_outputs - expected).square().mean())


def test_all_of_it_is_undone() -> None:
    model = tagger()
    before, modules = outputs(model), dict(model.named_modules())
    with simulated(model, calibrated(model), "symmetric"):
        kinds = [type(module) for module in model.modules()]
        assert kinds.count(Int8Linear) == 12
        assert kinds.count(Int8Attention) == 2
        assert kinds.count(Int8Embedding) == 1
        assert list(model.state_dict()) == list(tagger().state_dict())
        assert not torch.equal(outputs(model), before)
    assert all(a is b for a, b in zip(model.modules(), modules.values(), strict=True))
    assert torch.equal(outputs(model), before)


def test_it_is_undone_when_what_is_inside_fails() -> None:
    model = tagger()
    with pytest.raises(ZeroDivisionError), simulated(model, calibrated(model), "symmetric"):
        _ = 1 / 0
    assert not any(isinstance(module, Int8Linear) for module in model.modules())


def test_what_has_no_range_stays_in_float() -> None:
    model = tagger()
    path = "bert.layers.0.ffn.output"
    found = Quantization(inputs={path: calibrated(model).inputs[path]}, embedding=False)
    with simulated(model, found, "symmetric"):
        changed = {n for n, m in model.named_modules() if type(m).__name__.startswith("Int8")}
        assert changed == {path}


def test_nothing_quantised_changes_nothing() -> None:
    model = tagger()
    before = outputs(model)
    with simulated(model, Quantization(inputs={}, embedding=False), "symmetric"):
        assert torch.equal(outputs(model), before)


def test_a_masked_language_model_keeps_its_decoder() -> None:
    model = made(SlimBertForMaskedLM, config())
    with simulated(model, calibrated(model), "symmetric"):
        assert outputs(model).shape[-1] == 64


def test_head_gates_and_scores_still_work() -> None:
    from bertslim.model.modeling import Gates

    model = tagger()
    gates = Gates(heads=[torch.zeros(4), torch.ones(4)])
    with simulated(model, calibrated(model), "symmetric"), torch.no_grad():
        found = model(**batch(), gates=gates, output_attention_scores=True)
        assert found.attention_scores[0].shape == (10, 4, 20, 20)
        assert not torch.equal(found.logits, model(**batch()).logits)


def test_the_gradient_passes_through_where_nothing_was_clipped() -> None:
    x = torch.tensor([-5.0, -0.4, 0.0, 0.9, 5.0], requires_grad=True)
    Grid.over(Range(-1, 1), "symmetric").rounded(x).backward(torch.full((5,), 3.0))
    assert x.grad.tolist() == [0, 3, 3, 3, 0]


def test_training_moves_the_models_own_weights() -> None:
    model = tagger()
    before = model.bert.layers[0].ffn.output.weight.detach().clone()
    table = model.bert.embeddings.word_embeddings.weight.detach().clone()
    with simulated(model, calibrated(model), "symmetric"):
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        first = model(**batch()).logits.square().mean()
        first.backward()
        optimizer.step()
        second = model(**batch()).logits.square().mean()
        # what was rounded before the step is rounded again
        evaluated = model.eval()(**batch()).logits.square().mean()
    assert second < first
    torch.testing.assert_close(evaluated, second)
    assert not torch.equal(model.bert.layers[0].ffn.output.weight, before)
    assert not torch.equal(model.bert.embeddings.word_embeddings.weight, table)


def test_weights_are_rounded_once_while_evaluating() -> None:
    int8 = Int8Linear(layer(), Grid(0.1, -128, 127), None).eval()
    frozen = int8.frozen
    assert torch.equal(frozen, rounded_rows(int8.weight))
    int8(tokens())
    assert int8.frozen is frozen
    assert int8.train().frozen is None
