"""What TensorRT refuses is one line with the cure."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bertslim.errors import CheckpointError, SettingsError, UnavailableError
from bertslim.graph.emit import emit
from bertslim.runtime.tensorrt.building import build_ahead, known_targets
from bertslim.runtime.tensorrt.flavours import RTX, load_flavour
from bertslim.runtime.tensorrt.log import Line
from bertslim.runtime.tensorrt.refusals import build_refusal, errors_of, warnings_of
from tests.runtime.tensorrt.worlds import FP16, SHAPE, TURING, builds, random_model

NO_DRIVER = "Cuda Runtime (cudaError 35: CUDA driver version is insufficient)"


def small_graph(*nodes: onnx.NodeProto, **constants: np.ndarray) -> bytes:
    """int64 `input_ids` (batch, length) to fp32 `logits`."""
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "l"]) for n in names]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, values)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def cast(source: str, to: int, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [name], name, to=to)


@builds
def test_fp32_for_turing() -> None:
    with pytest.raises(UnavailableError) as caught:
        build_ahead(emit(random_model()).SerializeToString(), SHAPE, TURING)
    said = str(caught.value)
    assert said.startswith("TensorRT-RTX ")
    assert "builds no fp32 matrix products for SM75 (the first is bert.layers.0.attention" in said
    assert "cudaError" not in said
    for cure in ("--precision fp16", "another --sm", "--runtime tensorrt"):
        assert cure in caught.value.hint


@builds
def test_fp32_for_ampere_builds() -> None:
    built = build_ahead(emit(random_model()).SerializeToString(), SHAPE, "80")
    products = {layer.precision for layer in built.layers if layer.is_product}
    assert products == {"fp32"}
    assert built.warnings == ()


@builds
def test_bf16_for_turing() -> None:
    graph = small_graph(
        cast("input_ids", TensorProto.BFLOAT16, "wide"),
        helper.make_node("Mul", ["wide", "wide"], ["square"], "square"),
        cast("square", TensorProto.FLOAT, "logits"),
    )
    with pytest.raises(UnavailableError, match=r"^SM75 has no bf16$") as caught:
        build_ahead(graph, SHAPE, TURING)
    assert caught.value.hint == "--precision fp16, or --sm 80 or above"


@builds
def test_operators_of_onnx_runtime() -> None:
    graph = small_graph(
        cast("input_ids", TensorProto.FLOAT16, "half"),
        helper.make_node("BiasGelu", ["half", "bias"], ["out"], "gelu", domain="com.microsoft"),
        cast("out", TensorProto.FLOAT, "logits"),
        bias=np.ones(16, np.float16),
    )
    with pytest.raises(CheckpointError, match="does not know the operator BiasGelu") as caught:
        build_ahead(graph, SHAPE, TURING)
    assert "bertslim fuse" in caught.value.hint


@builds
def test_what_the_parser_refuses_is_named() -> None:
    graph = small_graph(helper.make_node("Slice", ["input_ids", "no", "no"], ["logits"], "cut"))
    with pytest.raises(CheckpointError, match=r"cannot read the graph \(node cut, operator: Slice"):
        build_ahead(graph, SHAPE, TURING)


@builds
@pytest.mark.parametrize("content", [b"no graph", b""])
def test_a_file_that_is_no_graph(content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read the graph|the graph takes nothing"):
        build_ahead(content, SHAPE, TURING)


@builds
def test_a_graph_of_something_else() -> None:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["b", "l"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    node = helper.make_node("Relu", ["pixels"], ["logits"], "relu")
    opset = helper.make_opsetid("", 20)
    graph = helper.make_graph([node], "images", [pixels], [logits])
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    with pytest.raises(CheckpointError, match="the graph takes pixels; a BERT takes input_ids"):
        build_ahead(model.SerializeToString(), SHAPE, TURING)


@builds
def test_gpus_that_are_too_old_or_unknown() -> None:
    graph = emit(random_model(), FP16).SerializeToString()
    with pytest.raises(UnavailableError, match="starts at SM75, SM70 is older") as caught:
        build_ahead(graph, SHAPE, "70")
    assert "Volta (SM70) needs 10.0 to 10.4" in caught.value.hint
    known = known_targets(load_flavour(RTX))
    assert known[:4] == ("75", "80", "86", "89")
    for unknown in ("99", "7.5", "current", ""):
        with pytest.raises(SettingsError, match="does not build for SM") as refused:
            build_ahead(graph, SHAPE, unknown)
        assert refused.value.hint == f"--sm takes one of {', '.join(known)}"


def test_a_missing_driver_is_blamed_only_if_nothing_else_is_wrong() -> None:
    other = Line("ERROR", "the graph is wrong")
    driver = Line("INTERNAL_ERROR", NO_DRIVER)
    chatter = Line("WARNING", "slow")
    assert errors_of([driver, other, chatter]) == ("the graph is wrong",)
    assert errors_of([driver, chatter]) == (NO_DRIVER,)


def test_warnings_are_told_once_and_without_the_usual_one() -> None:
    usual = Line("WARNING", "Make sure input input_ids has Int64 binding.")
    slow = Line("WARNING", "slow")
    assert warnings_of([usual, slow, Line("INFO", "hello"), slow]) == ("slow",)


@builds
def test_a_build_that_needs_the_gpu_itself() -> None:
    flavour = load_flavour(RTX)
    refusal = build_refusal(flavour, TURING, [Line("ERROR", NO_DRIVER)])
    assert str(refusal) == f"{flavour.name} needs a CUDA device here and finds none"
    unknown = build_refusal(flavour, TURING, [Line("ERROR", NO_DRIVER), Line("ERROR", "odd")])
    assert str(unknown) == f"{flavour.name} cannot build for SM75: odd"
    assert unknown.hint == ""
    assert "10.0 to 10.4" in build_refusal(flavour, "70", [Line("ERROR", "odd")]).hint
