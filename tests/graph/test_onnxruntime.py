"""ONNX Runtime's dialect: what it computes, which operators it takes, and what it says it left."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch import Tensor

from bertslim.graph.emit import emit, write
from bertslim.graph.form import Form
from bertslim.model.configuration import LayerWidths
from bertslim.model.modeling import (
    SlimBertForMaskedLM,
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.model.quantization import Quantization, Range
from bertslim.model.running import run_model
from tests.graph.test_emit import (
    FAMILIES,
    FULL,
    HEADS,
    WIDTHS,
    on_onnxruntime,
    padded_batch,
    random_model,
)
from tests.graph.test_form import linears

FLOAT = Form("onnxruntime")
# not around 0: a zero point that is left out would show
RANGE = Range(-2.0, 3.0)


def quantization(model: SlimBertPreTrainedModel, **others: object) -> Quantization:
    return Quantization(dict.fromkeys(linears(model), RANGE), **others)


def int8(model: SlimBertPreTrainedModel, *, dynamic: bool = False, **others: object) -> Form:
    return Form("onnxruntime", quantization=quantization(model, **others), dynamic=dynamic)


def smoothing(model: SlimBertPreTrainedModel) -> dict[str, tuple[float, ...]]:
    sizes = {path: layer.in_features for path, layer in linears(model).items()}
    return {path: tuple(np.linspace(0.5, 2, size)) for path, size in sizes.items()}


def seen(x: Tensor) -> Range:
    return Range(min(0.0, x.min().item()), max(0.0, x.max().item()))


def on_grid(x: Tensor, range_: Range) -> Tensor:
    """To 256 steps between the ends, of which one is exactly 0."""
    step = (range_.high - range_.low) / 255
    zero = round(-range_.low / step)
    return ((x / step).round() + zero).clamp(0, 255).sub(zero) * step


def on_rows_grid(weight: Tensor) -> Tensor:
    steps = weight.abs().amax(1, keepdim=True) / 127
    return (weight / steps).round() * steps


@contextmanager
def rounding(model: SlimBertPreTrainedModel, form: Form) -> Iterator[None]:
    """Let linear layers and the word table compute with what int8 leaves of their numbers."""
    wanted = form.quantization
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    hooks = []
    for path, range_ in wanted.inputs.items():
        layer = model.get_submodule(path)
        s = torch.tensor(wanted.smoothing.get(path, (1.0,) * layer.in_features)).float()

        def rounded(_, x, s=s, range_=range_):
            return (on_grid(x[0] / s, seen(x[0] / s) if form.dynamic else range_),)

        hooks.append(layer.register_forward_pre_hook(rounded))
        layer.weight.data = on_rows_grid(layer.weight.data * s)
    if wanted.embedding:
        table = model.encoder.embeddings.word_embeddings
        table.weight.data = on_rows_grid(table.weight.data)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, parameter in model.named_parameters():
            parameter.data = kept[name]


def assert_same(model: SlimBertPreTrainedModel, *batches: list[int]) -> None:
    graph = emit(model, FLOAT)
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    for lengths in batches or ([9, 5, 1],):
        batch = padded_batch(model, lengths)
        expected, outputs = run_model(model, batch), on_onnxruntime(data, batch)
        assert outputs.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, rtol=0)


def assert_rounded(model: SlimBertPreTrainedModel, form: Form) -> None:
    """The graph computes what the rounded model does, and not what the model does.

    A last bit may decide on which side a number is rounded, so that a few may be a step away.
    """
    batch = padded_batch(model, [9, 5, 1])
    outputs = on_onnxruntime(emit(model, form).SerializeToString(), batch)
    exact = run_model(model, batch)
    with rounding(model, form):
        expected = run_model(model, batch)
    for name, values in expected.items():
        away = np.median(np.abs(outputs[name] - values))
        assert away < 1e-5 * np.abs(values).max()
        assert away < 0.02 * np.median(np.abs(outputs[name] - exact[name]))


def operators(graph: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


def as_run(
    graph: onnx.ModelProto, folder: Path, shape: dict[str, int] | None = None
) -> onnx.ModelProto:
    """What ONNX Runtime makes of a graph before it runs it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    for dimension, size in (shape or {}).items():
        options.add_free_dimension_override_by_name(dimension, size)
    onnxruntime.InferenceSession(graph.SerializeToString(), options)
    return onnx.load(folder / "optimised.onnx")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_of_every_family(family: str, head: type[SlimBertPreTrainedModel]) -> None:
    assert_same(random_model(head, **FAMILIES[family]))


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_width_at_every_batch_and_length(widths: str) -> None:
    assert_same(random_model(widths=WIDTHS[widths]), [12, 7], [3], [1, 24, 2, 9, 20])


@pytest.mark.parametrize("widths", WIDTHS)
def test_the_last_layer_of_a_classifier_goes_on_with_the_first_token(widths: str) -> None:
    model = random_model(
        SlimBertForSequenceClassification, WIDTHS[widths], pooler_activation="tanh"
    )
    assert_same(model, [9, 5, 1], [3])


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_every_activation(activation: str) -> None:
    assert_same(random_model(SlimBertForMaskedLM, hidden_act=activation))


def test_a_row_of_padding_alone_stays_finite() -> None:
    model = random_model()
    batch = padded_batch(model, [5, 5])
    batch["attention_mask"][1] = 0
    outputs = on_onnxruntime(emit(model, FLOAT).SerializeToString(), batch)["logits"]
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs[0], run_model(model, batch)["logits"][0], atol=1e-4)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    "head", [SlimBertForTokenClassification, SlimBertForSequenceClassification]
)
@pytest.mark.parametrize("widths", WIDTHS)
def test_int8_is_the_model_with_rounded_numbers(
    widths: str, head: type[SlimBertPreTrainedModel], dynamic: bool
) -> None:
    model = random_model(head, WIDTHS[widths], pooler_activation="tanh")
    assert_rounded(model, int8(model, dynamic=dynamic))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_int8_of_every_family_smoothed(family: str, dynamic: bool) -> None:
    model = random_model(SlimBertModel, **FAMILIES[family])
    assert_rounded(model, int8(model, dynamic=dynamic, smoothing=smoothing(model)))


def test_pooler_head_and_projection_may_be_int8_too() -> None:
    model = random_model(SlimBertForSequenceClassification, **FAMILIES["electra"])
    paths = ("bert.embeddings.projection", "bert.pooler", "classifier")
    form = int8(model)
    inputs = {**form.quantization.inputs, **dict.fromkeys(paths, RANGE)}
    form = replace(form, quantization=replace(form.quantization, inputs=inputs))
    assert_rounded(model, form)
    written = write(model, form)
    kinds = {node.name: node.op_type for node in written.proto.graph.node}
    assert {kinds[written.gemms[path]] for path in paths} == {"MatMulIntegerToFloat"}


def test_operators_are_the_fastest_ones_and_stay(tmp_path: Path) -> None:
    written = emit(random_model(widths=[FULL] * 3), FLOAT)
    run = as_run(written, tmp_path)
    for graph in (written, run):
        found = operators(graph)
        names = ("Attention", "BiasGelu", "LayerNormalization", "Sum", "MatMul")
        assert [found[name] for name in names] == [3, 3, 7, 7, 3 * 6 + 1]


@pytest.mark.parametrize("integers", [False, True])
def test_sums_and_norms_stay_apart_where_lengths_are_known(integers: bool, tmp_path: Path) -> None:
    model = random_model()
    graph = emit(model, int8(model) if integers else FLOAT)
    found = operators(as_run(graph, tmp_path, {"batch": 3, "length": 9}))
    assert (found["Sum"], found["LayerNormalization"]) == (5, 5)
    assert not found.keys() & {"SkipLayerNormalization", "EmbedLayerNormalization"}


@pytest.mark.parametrize("dynamic", [False, True])
def test_operators_of_int8(dynamic: bool, tmp_path: Path) -> None:
    model = random_model(widths=[FULL] * 3)
    graph = emit(model, int8(model, dynamic=dynamic))
    found, run = operators(graph), operators(as_run(graph, tmp_path))
    # Q, K and V share what is rounded
    assert found["DynamicQuantizeLinear" if dynamic else "QuantizeLinear"] == 3 * 4
    assert found["MatMulIntegerToFloat"] == 3 * 6
    # ONNX Runtime rounds within the product where nothing is shared
    assert run["MatMulIntegerToFloat"] + run["DynamicQuantizeMatMul"] == 3 * 6
    for counts in (found, run):
        names = ("Attention", "Gelu", "LayerNormalization", "Sum", "MatMul")
        assert [counts[name] for name in names] == [3, 3, 7, 7, 1]


def test_activations_are_unsigned_and_weights_signed_by_output() -> None:
    model = random_model()
    graph = emit(model, int8(model)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMulIntegerToFloat":
            _, weight, _, scales, zero, _, bias = node.input
            assert stored[zero].data_type == TensorProto.UINT8
            assert stored[weight].data_type == TensorProto.INT8
            outputs = [stored[weight].dims[1]]
            assert list(stored[scales].dims) == list(stored[bias].dims) == outputs
    zeros = {
        onnx.numpy_helper.to_array(stored[n.input[2]]).item()
        for n in graph.node
        if n.op_type == "QuantizeLinear"
    }
    assert zeros == {102}


def test_the_word_table_stays_int8_in_memory(tmp_path: Path) -> None:
    model = random_model(vocab_size=512)
    run = as_run(emit(model, int8(model)), tmp_path).graph
    tables = [t.data_type for t in run.initializer if list(t.dims) == [512, 32]]
    assert tables == [TensorProto.INT8]


def test_what_has_no_range_stays_in_float() -> None:
    model = random_model()
    form, left = int8(model, embedding=False), "bert.layers.1.attention.key"
    inputs = {path: r for path, r in form.quantization.inputs.items() if path != left}
    form = replace(form, quantization=replace(form.quantization, inputs=inputs))
    assert_rounded(model, form)
    graph = emit(model, form)
    products = {node.name for node in graph.graph.node if node.op_type == "MatMul"}
    assert products == {f"{left}/matmul", "classifier/matmul"}


def test_each_weight_is_stored_once() -> None:
    model = random_model(SlimBertForMaskedLM, widths=WIDTHS["keys shared in pairs"])
    stored = [tensor.name for tensor in emit(model, FLOAT).graph.initializer]
    assert len(stored) == len(set(stored))
    assert {name for name in stored if "." in name} == set(model.state_dict())
    model = random_model(SlimBertForTokenClassification, hidden_size=64, vocab_size=512)
    plain, small = emit(model, FLOAT).ByteSize(), emit(model, int8(model)).ByteSize()
    assert small < 0.5 * plain


@pytest.mark.parametrize("integers", [False, True])
def test_fusions_name_nodes_of_the_graph_and_what_was_not_worth_it(integers: bool) -> None:
    widths = [FULL, LayerWidths(0, 0, 8, 48, None), LayerWidths(2, 1, 8, 0, None)]
    model = random_model(widths=widths)
    written = write(model, int8(model) if integers else FLOAT)
    nodes = {node.name for node in written.proto.graph.node}
    assert all(set(fusion.nodes) <= nodes for fusion in written.fusions)
    assert set(written.gemms.values()) <= nodes
    assert written.gemms.keys() == {*linears(model), "classifier"}
    made = Counter(fusion.kind for fusion in written.fusions if not fusion.refusal)
    left = Counter(fusion.kind for fusion in written.fusions if fusion.refusal)
    expected = {"GEMM + bias": len(linears(model))} if integers else {"bias + activation": 2}
    assert made == {"attention": 2, **expected}
    also = {"bias + activation": 2} if integers else {}
    assert left == {"QKV": 2, "residual + LayerNorm": 6, "embeddings + LayerNorm": 1, **also}


def test_products_inside_an_attention_are_refused_in_int8() -> None:
    model = random_model()
    parts = dict.fromkeys(linears(model, "query", "key", "value"), RANGE)
    written = write(model, int8(model, products=parts))
    refused = [f for f in written.fusions if f.kind == "int8 attention"]
    assert [fusion.place for fusion in refused] == [f"bert.layers.{i}.attention" for i in (0, 1)]
    assert {fusion.refusal for fusion in refused} == {"ONNX Runtime's Attention computes in float"}


def test_an_activation_without_a_biased_operator_is_named() -> None:
    written = write(random_model(hidden_act="relu"), FLOAT)
    reasons = {f.refusal for f in written.fusions if f.kind == "bias + activation"}
    assert reasons == {"ONNX Runtime has no operator that adds a bias before this activation"}
