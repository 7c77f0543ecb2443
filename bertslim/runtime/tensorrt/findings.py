"""What the builder did otherwise than the graph hoped for: facts, each with the place it is about.

TensorRT says nothing of it: an engine that lost its int8 products builds, runs and is slow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx

from bertslim.runtime.tensorrt.layers import FLOATS, Layer, Tensor

Kind = Literal["not int8", "attention not fused", "weights dequantized at run time", "padded"]
ATTENTION_STEPS = ("scores", "softmax", "context")
"""Nodes of an attention, behind the path of its module."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact."""

    kind: Kind
    place: str
    """Path of the module."""
    text: str
    """What there is instead."""


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product as the graph has it."""

    node: str
    weight: tuple[int, int] | None
    """(in, out) of its weights; None where two activations are multiplied."""
    dequantizer: str | None
    """The node that makes floats of int8 weights; None where there is none."""
    is_int8: bool
    """Whether both of its factors come out of int8."""


def findings(graph: bytes, layers: Sequence[Layer]) -> tuple[Finding, ...]:
    """Compare what an engine runs with the graph that it was built from.

    Args:
        graph: ONNX as `bertslim.graph` writes it.
        layers: Of the engine.
    """
    model = onnx.load_model_from_string(graph)
    products = tuple(products_of(model.graph))
    return (
        *_not_int8(products, layers),
        *_unfused(model.graph, layers),
        *_dequantized(products, layers),
        *_padded(products, layers),
    )


def products_of(graph: onnx.GraphProto) -> Iterator[Product]:
    """Find the graph's matrix products."""
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul":
            left, right = (_origin(name, makers) for name in node.input[:2])
            maker = makers.get(right)
            int8 = maker is not None and maker.op_type == "DequantizeLinear"
            shape = constants.get(maker.input[0] if maker and int8 else right)
            yield Product(
                node=node.name,
                weight=(shape[0], shape[1]) if shape else None,
                dequantizer=maker.name if maker and int8 and shape else None,
                is_int8=int8 and left in makers and makers[left].op_type == "DequantizeLinear",
            )


def _origin(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Go back over what changes no value: casts, and matrices that are turned or split."""
    while name in makers and makers[name].op_type in ("Cast", "Transpose", "Reshape"):
        name = makers[name].input[0]
    return name


def _not_int8(products: Sequence[Product], layers: Sequence[Layer]) -> Iterator[Finding]:
    for product in products:
        layer = _layer_of(product.node, layers)
        if product.is_int8 and layer and layer.precision != "int8":
            yield Finding("not int8", _path(product.node), f"it computes in {layer.precision}")


def _unfused(graph: onnx.GraphProto, layers: Sequence[Layer]) -> Iterator[Finding]:
    written = {node.name for node in graph.node}
    for path in (_path(node.name) for node in graph.node if node.op_type == "Softmax"):
        steps = {f"{path}/{step}" for step in ATTENTION_STEPS}
        if steps <= written and not any(steps <= set(layer.nodes) for layer in layers):
            parts = [layer for layer in layers if steps & set(layer.nodes)]
            yield Finding("attention not fused", path, f"it runs as {len(parts)} kernels")


def _dequantized(products: Sequence[Product], layers: Sequence[Layer]) -> Iterator[Finding]:
    """Find kernels that turn a whole int8 weight into floats, in every run."""
    for product in products:
        for layer in layers:
            names_weight = product.dequantizer in layer.nodes and not layer.is_product
            if names_weight and (widened := _widened(layer)):
                text = f"{_extents(widened.shape)} of int8 become {layer.outputs[0].type}"
                yield Finding("weights dequantized at run time", _path(product.node), text)


def _widened(layer: Layer) -> Tensor | None:
    """Return the int8 matrix of which a layer makes as many floats; None if it does not."""
    floats = {tensor.size for tensor in layer.outputs if tensor.type in FLOATS}
    matrices = [t for t in (*layer.inputs, *layer.constants) if t.type == "int8" and t.is_matrix]
    return next((matrix for matrix in matrices if matrix.size in floats), None)


def _padded(products: Sequence[Product], layers: Sequence[Layer]) -> Iterator[Finding]:
    """Find weights that became larger; those of products that were merged lie side by side."""
    weights = {product.node: product.weight for product in products if product.weight}
    for layer in layers:
        merged = [node for node in layer.nodes if node in weights]
        matrix = max((t for t in layer.constants if t.is_matrix), key=_size, default=None)
        if not (layer.is_product and merged and matrix):
            continue
        asked = (weights[merged[0]][0], sum(weights[node][1] for node in merged))
        if matrix.size > asked[0] * asked[1]:
            text = f"{_extents(asked)} computes as {_extents(matrix.shape)}"
            yield Finding("padded", " + ".join(_path(node) for node in merged), text)


def _layer_of(node: str, layers: Sequence[Layer]) -> Layer | None:
    """Return the layer that computes a product; others apply its scales and name it too."""
    naming = [layer for layer in layers if node in layer.nodes]
    return next((layer for layer in naming if layer.is_product), next(iter(naming), None))


def _path(node: str) -> str:
    return node.rpartition("/")[0]


def _size(tensor: Tensor) -> int:
    return tensor.size


def _extents(shape: Sequence[int]) -> str:
    return " x ".join(str(extent) for extent in shape)
