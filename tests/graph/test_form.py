"""The forms of the standard dialect: fp16 with fp32 islands, and int8 as quantise-dequantise."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from bertslim.errors import CheckpointError
from bertslim.graph.emit import emit, write
from bertslim.graph.form import PLAIN, Form
from bertslim.model.configuration import LayerWidths
from bertslim.model.modeling import (
    SlimBertForMaskedLM,
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
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
    on_openvino,
    padded_batch,
    random_model,
)

HALF = Form(floats="fp16")
RANGE = Range(-2.5, 3.0)


def linears(model: SlimBertPreTrainedModel, *ends: str) -> dict[str, nn.Linear]:
    """Linear layers of the encoder by path, or those with such an end."""
    found = {
        n: m for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.weight.numel()
    }
    return {n: m for n, m in found.items() if "layers." in n and n.endswith(ends or ("",))}


def quantization(model: SlimBertPreTrainedModel, *, products: bool = False) -> Quantization:
    parts = linears(model, "query", "key", "value") if products else {}
    return Quantization(dict.fromkeys(linears(model), RANGE), dict.fromkeys(parts, RANGE))


def rounded(x: Tensor, scale: Tensor | float) -> Tensor:
    return (x / scale).round().clamp(-128, 127) * scale


@contextmanager
def rounding(model: SlimBertPreTrainedModel, wanted: Quantization) -> Iterator[None]:
    """Let linear layers and the word table compute with what int8 leaves of their numbers."""
    hooks, kept = [], {name: p.detach().clone() for name, p in model.named_parameters()}
    for path, layer in linears(model).items():
        if path not in wanted.inputs:
            continue
        s = torch.tensor(wanted.smoothing.get(path, (1.0,) * layer.in_features)).float()
        step = wanted.inputs[path].scale
        hooks.append(
            layer.register_forward_pre_hook(lambda _, x, s=s, step=step: (rounded(x[0] / s, step),))
        )
        weight = layer.weight.data * s
        layer.weight.data = rounded(weight, weight.abs().amax(1, keepdim=True) / 127)
    if wanted.embedding:
        table = model.encoder.embeddings.word_embeddings
        steps = (table.weight.data.abs().amax(1, keepdim=True) / 127).clamp_min(2**-20)
        table.weight.data = rounded(table.weight.data, steps)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, parameter in model.named_parameters():
            parameter.data = kept[name]


def value_types(graph: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    return types | {t.name: t.data_type for t in inferred.initializer}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_fp16_of_every_head_and_family(family: str, head: type[SlimBertPreTrainedModel]) -> None:
    model = random_model(head, **FAMILIES[family])
    graph = emit(model, HALF)
    onnx.checker.check_model(graph, full_check=True)
    batch = padded_batch(model, [9, 5, 1])
    outputs = on_onnxruntime(graph.SerializeToString(), batch)
    for name, expected in run_model(model, batch).items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("widths", WIDTHS)
def test_fp16_of_every_width(widths: str) -> None:
    model = random_model(widths=WIDTHS[widths])
    batch = padded_batch(model, [9, 5, 1])
    outputs = on_onnxruntime(emit(model, HALF).SerializeToString(), batch)["logits"]
    expected = run_model(model, batch)["logits"]
    np.testing.assert_allclose(outputs, expected, atol=0.02 * np.abs(expected).max())


def test_mask_and_softmax_are_fp32_and_products_with_weights_fp16() -> None:
    graph = emit(random_model(widths=WIDTHS["windows"]), HALF)
    types = value_types(graph)
    kinds = {
        kind: {types[node.input[-1]] for node in graph.graph.node if node.op_type == kind}
        for kind in ("Softmax", "MatMul", "LayerNormalization", "Gelu")
    }
    half = {TensorProto.FLOAT16}
    assert kinds["Softmax"] == {TensorProto.FLOAT}
    assert kinds["MatMul"] == kinds["LayerNormalization"] == kinds["Gelu"] == half
    masks = [name for name in types if name.startswith("attention_mask/ma")]
    assert masks
    assert {types[name] for name in masks} == {TensorProto.FLOAT}


def test_an_island_of_a_product_is_fp32_until_its_norm() -> None:
    model = random_model(widths=[FULL, FULL])
    islands = frozenset({"bert.layers.0.ffn.output", "bert.layers.0.ffn_norm"})
    graph = emit(model, replace(HALF, islands=islands))
    types = value_types(graph)
    path = "bert.layers.0"
    wide = [f"{path}.ffn.output/matmul", f"{path}.ffn.output/bias", f"{path}.ffn_norm/norm"]
    assert {types[name] for name in wide} == {TensorProto.FLOAT}
    assert types[f"{path}.ffn.intermediate/bias"] == TensorProto.FLOAT16
    batch = padded_batch(model, [9, 5, 1])
    expected = run_model(model, batch)["logits"]
    found = on_onnxruntime(graph.SerializeToString(), batch)["logits"]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_weights_beyond_fp16_are_refused_where_no_island_is() -> None:
    model = random_model()
    with torch.no_grad():
        model.encoder.layers[1].ffn.output.weight[0, 0] = 7e4
    path = "bert.layers.1.ffn.output"
    with pytest.raises(CheckpointError, match=f"{path}.weight reaches 7e\\+04"):
        emit(model, HALF)
    emit(model, replace(HALF, islands=frozenset({path})))


def test_an_island_of_a_norm_alone_is_around_its_sum() -> None:
    graph = emit(random_model(), replace(HALF, islands=frozenset({"bert.layers.1.ffn_norm"})))
    types = value_types(graph)
    assert types["bert.layers.1.ffn_norm/residual"] == TensorProto.FLOAT
    assert types["bert.layers.1.ffn_norm/norm"] == TensorProto.FLOAT
    assert types["bert.layers.1.ffn.output/matmul"] == TensorProto.FLOAT16
    assert types["bert.layers.0.ffn_norm/norm"] == TensorProto.FLOAT16


@pytest.mark.parametrize(
    "head", [SlimBertForTokenClassification, SlimBertForSequenceClassification]
)
@pytest.mark.parametrize("widths", WIDTHS)
def test_int8_is_the_model_with_rounded_numbers(
    widths: str, head: type[SlimBertPreTrainedModel]
) -> None:
    model = random_model(head, WIDTHS[widths], pooler_activation="tanh")
    wanted = quantization(model)
    widths_in = {path: layer.in_features for path, layer in linears(model).items()}
    factors = {path: tuple(np.linspace(0.5, 2, n)) for path, n in widths_in.items()}
    for form in (Form(quantization=wanted), Form(quantization=replace(wanted, smoothing=factors))):
        graph = emit(model, form)
        onnx.checker.check_model(graph, full_check=True)
        batch = padded_batch(model, [9, 5, 1])
        with rounding(model, form.quantization or wanted):
            expected = run_model(model, batch)["logits"]
        # one step of a grid is the difference that a tie makes
        found = on_onnxruntime(graph.SerializeToString(), batch)["logits"]
        assert np.median(np.abs(found - expected)) < 1e-4 * np.abs(expected).max()
        assert np.abs(run_model(model, batch)["logits"] - expected).max() > 0


def test_int8_runs_on_openvino() -> None:
    model = random_model()
    graph, batch = emit(model, Form(quantization=quantization(model))), padded_batch(model, [9, 5])
    data = graph.SerializeToString()
    expected = on_onnxruntime(data, batch)["logits"]
    found = on_openvino(data, batch)["logits"]
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


@pytest.mark.parametrize("scales", ["floats", "fp32"])
@pytest.mark.parametrize("floats", ["fp32", "fp16"])
def test_every_product_with_a_range_has_pairs_on_both_sides(floats: str, scales: str) -> None:
    model = random_model(widths=[FULL, WIDTHS["uneven"][0]])
    form = Form(floats=floats, scales=scales, quantization=quantization(model, products=True))
    written = write(model, form)
    onnx.checker.check_model(written.proto, full_check=True)
    made_by = {node.output[0]: node for node in written.proto.graph.node}

    def source(name: str) -> str:
        node = made_by.get(name)
        return (
            source(node.input[0])
            if node and node.op_type in ("Cast", "Transpose", "Reshape")
            else node.op_type
            if node
            else ""
        )

    for path in linears(model):
        product = made_by[written.gemms[path]]
        assert [source(x) for x in product.input] == ["DequantizeLinear"] * 2
    for number in (0, 1):
        for step in ("scores", "context"):
            product = made_by[f"bert.layers.{number}.attention/{step}"]
            assert [source(x) for x in product.input] == ["DequantizeLinear"] * 2
    types = value_types(written.proto)
    own = TensorProto.FLOAT if floats == "fp32" else TensorProto.FLOAT16
    wanted = TensorProto.FLOAT if "fp32" in (floats, scales) else own
    of = {name: kind for name, kind in types.items() if "scale" in name.split("/")[-1]}
    ends = tuple(f"attention.{part}/bias/scale" for part in ("query", "key", "value"))
    inner = {name for name in of if name.endswith(ends) or "softmax" in name}
    assert len(inner) == 2 * 4
    assert {of[name] for name in inner} == {own}
    assert {kind for name, kind in of.items() if name not in inner} == {wanted}


def test_norms_and_softmax_are_never_rounded_before() -> None:
    model = random_model()
    graph = emit(model, Form(quantization=quantization(model, products=True)))
    rounded_values = {n.input[0] for n in graph.graph.node if n.op_type == "QuantizeLinear"}
    fragile = {
        node.input[0]
        for node in graph.graph.node
        if node.op_type in ("LayerNormalization", "Softmax")
    }
    assert len(fragile) == 7
    assert not rounded_values & fragile


def test_what_has_no_range_stays_in_float() -> None:
    model = random_model()
    wanted = quantization(model)
    left = "bert.layers.1.ffn.output"
    inputs = {path: r for path, r in wanted.inputs.items() if path != left}
    graph = emit(model, Form(quantization=replace(wanted, inputs=inputs, embedding=False))).graph
    whole = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    matrices = {f"{left}.weight", "classifier.weight", "bert.embeddings.word_embeddings.weight"}
    assert {n for n in whole if n.endswith("weight") and "norm" not in n} - {
        "bert.embeddings.position_embeddings.weight",
        "bert.embeddings.token_type_embeddings.weight",
    } == matrices


def test_int8_weights_are_stored_once_and_small() -> None:
    model = random_model(SlimBertForTokenClassification, hidden_size=64, vocab_size=512)
    plain = emit(model).ByteSize()
    int8 = emit(model, Form(quantization=quantization(model))).ByteSize()
    half = emit(model, HALF).ByteSize()
    assert int8 < 0.5 * plain
    assert half < 0.65 * plain


def test_the_table_of_a_masked_lm_can_stay_in_float() -> None:
    model = random_model(SlimBertForMaskedLM)
    ranges = replace(quantization(model), embedding=False)
    graph = emit(model, Form(quantization=ranges)).graph
    table = "bert.embeddings.word_embeddings.weight"
    assert [t.data_type for t in graph.initializer if t.name == table] == [TensorProto.FLOAT]
    assert not [t.name for t in graph.initializer if t.name == f"{table}:int8"]


def test_places_to_fuse_name_nodes_of_the_graph() -> None:
    widths = [FULL, LayerWidths(0, 0, 8, 48, None), LayerWidths(2, 1, 8, 0, None)]
    written = write(random_model(widths=widths), PLAIN)
    nodes = {node.name for node in written.proto.graph.node}
    kinds = [fusion.kind for fusion in written.fusions]
    assert all(set(fusion.nodes) <= nodes for fusion in written.fusions)
    assert (kinds.count("attention"), kinds.count("QKV")) == (2, 2)
    assert (kinds.count("residual + LayerNorm"), kinds.count("bias + activation")) == (6, 2)
