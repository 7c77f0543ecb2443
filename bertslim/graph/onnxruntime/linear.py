"""Linear layers, alone, before an activation, and before a residual sum with its norm."""

from collections.abc import Mapping

from bertslim.graph import standard
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.onnxruntime.integers import integer_linear
from bertslim.graph.standard.operators import ACTIVATIONS, activation, layer_norm
from bertslim.model.quantization import Quantization

WITH_BIAS: Mapping[object, str] = {"none": "BiasGelu", "tanh": "FastGelu"}
"""By the `approximate` of the standard's Gelu, ONNX Runtime's operator that adds a bias first."""

BIAS_IN_PRODUCT = "the integer product adds the bias, which is faster than BiasGelu"
NO_OPERATOR = "ONNX Runtime has no operator that adds a bias before this activation"
SLOW_NORM = "SkipLayerNormalization takes four times as long on a CPU as a sum and a norm"


def linear(g: GraphBuilder, x: str, path: str, *, scale: float = 1.0) -> str:
    """Write scale * (x W^T + b): (..., in) -> (..., out)."""
    if quantization := int8_of(g, path):
        return integer_linear(g, quantization, x, path, scale=scale)
    return standard.linear(g, x, path, scale=scale)


def activated(g: GraphBuilder, x: str, path: str, function: str, name: str) -> str:
    """Write f(x W^T + b)."""
    is_int8, operator = int8_of(g, path) is not None, operator_with_bias(function)
    if operator and not is_int8:
        return _activated_with_bias(g, x, path, operator, name)
    sums = linear(g, x, path)
    active = activation(g, sums, function, name)
    reason = BIAS_IN_PRODUCT if is_int8 else NO_OPERATOR
    g.fusion("bias + activation", path, [sums, active], reason)
    return active


def added_and_normed(
    g: GraphBuilder, x: str | None, path: str, residual: str, norm: str, epsilon: float
) -> str:
    """Write norm(residual + x W^T + b); without `x` only b is added.

    The operator is Sum and not Add: of Add and LayerNormalization ONNX Runtime makes its slower
    SkipLayerNormalization, where it is told the lengths.
    """
    added = g.weight(f"{path}.bias") if x is None else linear(g, x, path)
    total = g.node("Sum", [residual, added], f"{norm}/residual")
    normed = layer_norm(g, total, norm, epsilon)
    g.fusion("residual + LayerNorm", norm, [total, normed], SLOW_NORM)
    return normed


def int8_of(g: GraphBuilder, path: str) -> Quantization | None:
    """Return what int8 needs to know if a linear layer computes in it."""
    found = g.form.quantization
    return found if found is not None and path in found.inputs else None


def operator_with_bias(function: str) -> str | None:
    """Return ONNX Runtime's operator that adds a bias and applies an activation."""
    _, attributes = ACTIVATIONS.get(function, ("", {}))
    return WITH_BIAS.get(attributes.get("approximate"))


def _activated_with_bias(g: GraphBuilder, x: str, path: str, operator: str, name: str) -> str:
    weight = g.weight(f"{path}.weight", transposed=True)
    product = g.node("MatMul", [x, weight], f"{path}/matmul")
    g.gemms[path] = product
    inputs = [product, g.weight(f"{path}.bias")]
    active = g.contrib(operator, inputs, f"{name}/{operator.lower()}")
    g.fusion("bias + activation", path, [active])
    return active
