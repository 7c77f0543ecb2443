"""Facts about engines that went wrong without a word."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bertslim.graph.emit import emit
from bertslim.runtime.tensorrt.building import build_ahead
from bertslim.runtime.tensorrt.findings import Finding, Product, findings, products_of
from tests.runtime.tensorrt.worlds import FP16, SHAPE, TURING, builds, int8, random_model

WIDTH = 64


def merged_by_hand() -> bytes:
    """Queries, keys and values as one int8 product, split after the bias: it loses int8."""
    graph = helper.make_graph([], "merged", [], [])

    def constant(name: str, values: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def node(operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        graph.node.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    rng = np.random.default_rng(0)
    for name in ("input_ids", "attention_mask"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "l"]))
    table = constant("table", rng.normal(size=(32, WIDTH)).astype(np.float16))
    x = node("Gather", [table, "input_ids"], "words/gather")
    scale, zero = constant("scale", np.float16(0.03)), constant("zero", np.int8(0))
    x = node("QuantizeLinear", [x, scale, zero], "words/quantized")
    x = node("DequantizeLinear", [x, scale, zero], "words/dequantized")
    codes = constant("codes", rng.integers(-127, 127, (WIDTH, 3 * WIDTH)).astype(np.int8))
    scales = constant("scales", np.full(3 * WIDTH, 0.001, np.float16))
    zeros = constant("zeros", np.zeros(3 * WIDTH, np.int8))
    weight = node("DequantizeLinear", [codes, scales, zeros], "qkv.weight/dequantized", axis=1)
    x = node("MatMul", [x, weight], "qkv/matmul")
    x = node("Add", [x, constant("bias", np.ones(3 * WIDTH, np.float16))], "qkv/bias")
    sizes, shape = constant("sizes", np.full(3, WIDTH)), constant("shape", np.array([0, 0, 4, 16]))
    graph.node.append(helper.make_node("Split", [x, sizes], ["q", "k", "v"], "qkv/split", axis=2))
    heads = {}
    for part, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        split = node("Reshape", [part, shape], f"{part}/split")
        heads[part] = node("Transpose", [split], f"{part}/heads", perm=order)
    scores = node("MatMul", [heads["q"], heads["k"]], "attention/scores")
    softmax = node("Softmax", [scores], "attention/softmax", axis=-1)
    context = node("MatMul", [softmax, heads["v"]], "attention/context")
    node("Cast", [context], "logits", to=TensorProto.FLOAT)
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    opset = helper.make_opsetid("", 20)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


@builds
def test_int8_that_was_lost_is_found() -> None:
    graph = merged_by_hand()
    built = build_ahead(graph, SHAPE, TURING)
    assert findings(graph, built.layers) == (
        Finding("not int8", "qkv", "it computes in fp16"),
        Finding("weights dequantized at run time", "qkv", "64 x 192 of int8 become fp16"),
    )


@builds
def test_padded_weights_are_found_with_their_sizes() -> None:
    graph = emit(random_model(num_labels=2), FP16).SerializeToString()
    built = build_ahead(graph, SHAPE, TURING)
    found = findings(graph, built.layers)
    assert found == (Finding("padded", "classifier", "64 x 2 computes as 64 x 8"),)


def test_the_products_of_a_graph() -> None:
    model = random_model(num_hidden_layers=1)
    found = {p.node: p for p in products_of(emit(model, int8(model)).graph)}
    query = "bert.layers.0.attention.query"
    assert found[f"{query}/matmul"] == Product(
        f"{query}/matmul", (64, 64), f"{query}.weight/dequantized", is_int8=True
    )
    scores = "bert.layers.0.attention/scores"
    assert found[scores] == Product(scores, None, None, is_int8=False)
    inner = {p.node: p for p in products_of(emit(model, int8(model, products=True)).graph)}
    assert inner[scores] == Product(scores, None, None, is_int8=True)
    plain = {p.node: p for p in products_of(emit(model).graph)}
    ffn = "bert.layers.0.ffn.intermediate/matmul"
    assert plain[ffn] == Product(ffn, (64, 256), None, is_int8=False)


def test_a_graph_without_products_has_none() -> None:
    assert list(products_of(onnx.GraphProto())) == []
