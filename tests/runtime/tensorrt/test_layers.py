"""The builder's list of layers is read whole, or refused."""

from dataclasses import replace

import pytest

from bertslim.errors import BertslimError
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.tensorrt.layers import (
    Layer,
    Tensor,
    find_dump,
    kernels_of,
    parse_layers,
)

LINEAR = "Format: (Linear) Row major linear format"


def rtx_tensor(name: str, shape: str, kind: str) -> str:
    """As TensorRT-RTX 1.7 writes it."""
    strides = f"Strides: [{shape}], StrideOrder: [1,0]"
    return f"{{ Name: {name}, Dimensions: [{shape}], {strides}, Datatype: {kind}, {LINEAR} }}"


def rtx_layer(name: str, kind: str, tensors: tuple[str, str, str], *nodes: str) -> str:
    inputs, constants, outputs = tensors
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {inputs}], Constants: [{constants}], "
        f"Outputs: [ {outputs}], TacticName: __myelin_CASK_STUB, StreamId: 0, Metadata: "
        + "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes)
    )


GEMM = rtx_layer(
    "a/matmul_U3_myl0_1",
    "gemm",
    (
        rtx_tensor("x", "32,64", "Int8"),
        f" {rtx_tensor('w', '64,256', 'Int8')}, {rtx_tensor('alpha', '1', 'Float')}",
        rtx_tensor("y", "32,256", "Half"),
    ),
    "a/matmul",
    "a.weight/dequantized",
)
SCALES = rtx_layer(
    "__myl_MulAdd_myl0_2",
    "kgen",
    (
        rtx_tensor("y", "32,256", "Half"),
        f" {rtx_tensor('b', '1,256', 'Half')}",
        rtx_tensor("z", "32,256", "Half"),
    ),
    "a/matmul",
    "a/bias",
)
DEQUANTIZER = (
    "Name: __myl_CastMul_myl0_3, LayerType: kgen, Inputs: [], "
    f"Constants: [ {rtx_tensor('w', '64,192', 'Int8')}], "
    f"Outputs: [ {rtx_tensor('v', '64,192', 'Half')}], TacticName: , StreamId: 0, Metadata: "
)
TENSORRT_10 = (
    "Name: __myl_MulSumAdd_myl0_0, LayerType: kgen, Inputs: [ "
    "{ Name: w _ constantHalf, Dimensions: [10,30], Format/Datatype: Half }, "
    "{ Name: x, Location: Device, Dimensions: [1,10], Format/Datatype: Half }], Outputs: [ "
    "{ Name: y, Dimensions: [1,30], Format/Datatype: Float }], "
    "TacticName: __myl_MulSumAdd_0x5a3b, StreamId: 0, Metadata: [ONNX Layer: a/matmul]"
)
CASK = (
    "Name: Reformatting CopyNode for Input Tensor 0 to a, LayerType: Reformat, Inputs: [ "
    "{ Name: x, Location: Device, Dimensions: [1,10], Format/Datatype: Half }], Outputs: [ "
    "{ Name: x, Location: Device, Dimensions: [1,10], Format/Datatype: Half }], "
    "ParameterType: Reformat, Origin: REFORMAT, TacticValue: 0x00, StreamId: 0, Metadata: "
)


def dump(*lines: str) -> str:
    return "\n".join(["Layers:", *lines, "", "I/O Tensors:", " Name: x, IOMode: Input"])


def test_a_layer_of_tensorrt_rtx() -> None:
    assert parse_layers(dump(GEMM)) == (
        Layer(
            name="a/matmul_U3_myl0_1",
            kind="gemm",
            inputs=(Tensor("x", (32, 64), "int8"),),
            constants=(Tensor("w", (64, 256), "int8"), Tensor("alpha", (1,), "fp32")),
            outputs=(Tensor("y", (32, 256), "fp16"),),
            tactic="__myelin_CASK_STUB",
            nodes=("a/matmul", "a.weight/dequantized"),
        ),
    )


def test_streams_that_wait_for_each_other_are_no_layers() -> None:
    entry = (
        "Name: __mye6_myl0_6, LayerType: {}, Inputs: [], Constants: [], Outputs: [], StreamId: 0"
    )
    waiting = [entry.format("signal"), entry.format("wait")]
    assert parse_layers(dump(waiting[0], GEMM, waiting[1])) == parse_layers(dump(GEMM))


def test_a_layer_without_inputs() -> None:
    (layer,) = parse_layers(dump(DEQUANTIZER))
    assert layer.inputs == ()
    assert layer.constants == (Tensor("w", (64, 192), "int8"),)
    assert (layer.tactic, layer.nodes) == ("", ())


def test_layers_of_tensorrt_10() -> None:
    compiled, copy = parse_layers(dump(TENSORRT_10, CASK))
    assert compiled.inputs == (
        Tensor("w _ constantHalf", (10, 30), "fp16"),
        Tensor("x", (1, 10), "fp16"),
    )
    assert compiled.outputs == (Tensor("y", (1, 30), "fp32"),)
    assert compiled.nodes == ("a/matmul",)
    assert (copy.kind, copy.precision) == ("Reformat", "fp16")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Layers:\n",
        "Layers:\n[{'name': 'a'}]",
        dump(GEMM, "Name: b, LayerType: gemm, Inputs: none"),
        dump(GEMM.replace("Datatype: Int8", "Type: Int8")),
        dump(GEMM.replace("Dimensions: [32,64]", "Dimensions: (32,64)")),
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(BertslimError, match="list of layers has an unknown form"):
        parse_layers(text)


def test_the_dump_is_one_message_of_the_log() -> None:
    assert find_dump(["Total Weights Memory: 8 bytes", dump(GEMM), "done"]) == dump(GEMM)
    assert find_dump(["Total Weights Memory: 8 bytes"]) == ""


def layer(kind: str, inputs: str, constants: str = "", name: str = "n_myl0_1") -> Layer:
    """A layer from words such as `int8 32 64`, separated by commas."""

    def tensors(text: str) -> tuple[Tensor, ...]:
        words = [part.split() for part in text.split(",") if part]
        return tuple(Tensor("t", tuple(map(int, shape)), kind) for kind, *shape in words)

    return Layer(name, kind, tensors(inputs), tensors(constants), (), "", ())


@pytest.mark.parametrize(
    ("found", "precision"),
    [
        (layer("gemm", "int8 32 64", "int8 64 64,fp32 1"), "int8"),
        (layer("gemm", "fp16 32 64", "fp16 64 64,fp32 1"), "fp16"),
        (layer("gemm", "fp16 32 64", "int8 64 64"), "fp16"),
        (layer("gemm", "int8 8 16 16,int8 8 16 16", "fp32 1"), "int8"),
        (layer("runtime_fusion", "int8 32 64,fp16 1 64 192"), "fp16"),
        (layer("runtime_fusion", "fp16 32 64", "fp16 1 8,fp16 64 8"), "fp16"),
        (layer("gemm", "fp32 32 64", "fp32 64 64"), "fp32"),
        (
            layer("kgen", "int64 2 16,fp16 9 9,fp16 9 9,fp16 9 9", name="_gemv_mha_v1_myl0_3"),
            "fp16",
        ),
        (layer("kgen", "int8 9 9,int8 9 9,fp32 2 16,int8 9 9", name="_gemm_mha_v2_myl0_3"), "int8"),
        (layer("kgen", "int8 9 9,fp16 9 9", "fp32 1 9"), "fp32"),
        (layer("kgen", "int8 9 9,fp16 9 9", "fp16 1 9"), "fp16"),
        (layer("kgen", "int8 9 9"), "int8"),
        (layer("kgen", "int64 2 16"), "int64"),
    ],
)
def test_what_a_layer_computes_in(found: Layer, precision: str) -> None:
    assert found.precision == precision


def test_a_product_is_not_counted_again_where_its_scales_are_applied() -> None:
    assert kernels_of(parse_layers(dump(GEMM, SCALES))) == (
        Kernel("a/matmul_U3_myl0_1", "gemm", "int8", ("a/matmul", "a.weight/dequantized")),
        Kernel("__myl_MulAdd_myl0_2", "kgen", "fp16", ("a/bias",)),
    )


def test_an_attention_of_one_token_does_not_take_the_product_before_it() -> None:
    (product,) = parse_layers(dump(GEMM))
    attention = replace(product, name="_gemv_mha_v1_myl0_9", kind="kgen", nodes=("a/matmul", "a/b"))
    nodes = [kernel.nodes for kernel in kernels_of((product, attention))]
    assert nodes == [("a/matmul", "a.weight/dequantized"), ("a/b",)]


def test_an_attention_goes_by_its_own_name() -> None:
    attention = layer("kgen", "fp16 9 9,fp16 9 9,fp16 9 9", name="_gemm_mha_v2_myl0_6")
    other = layer("kgen", "fp16 9 9", name="__myl_AddReshTran_myl0_2")
    assert [kernel.kind for kernel in kernels_of((attention, other))] == ["_gemm_mha_v2", "kgen"]
