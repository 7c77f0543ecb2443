"""Linear layers, alone, before an activation, and before a residual sum with its norm."""

from collections.abc import Mapping

from bertslim.graph import standard
from bertslim.graph.contrib.integers import integer_linear, is_int8
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.operators import ACTIVATIONS, activation, layer_norm

WITH_BIAS: Mapping[str, str] = {"none": "BiasGelu", "tanh": "FastGelu"}
"""By the `approximate` of ONNX's Gelu, the operator that adds a bias first."""

BIAS_IN_PRODUCT = "the integer product adds the bias itself, which is faster"
NO_OPERATOR = "ONNX Runtime has no operator that adds a bias before this activation"
SLOW_NORM = "SkipLayerNormalization takes four times as long on a CPU as a sum and a norm"


def linear(g: GraphBuilder, x: str, path: str, *, scale: float = 1.0) -> str:
    """Write scale * (x W^T + b): (..., in) -> (..., out)."""
    write = integer_linear if is_int8(g, path) else standard.linear
    return write(g, x, path, scale=scale)


def activated(g: GraphBuilder, x: str, path: str, function: str, name: str) -> str:
    """Write f(x W^T + b)."""
    _, attributes = ACTIVATIONS.get(function, ("", {}))
    operator = WITH_BIAS.get(str(attributes.get("approximate")))
    if operator is None or is_int8(g, path):
        sums = linear(g, x, path)
        active = activation(g, sums, function, name)
        reason = BIAS_IN_PRODUCT if is_int8(g, path) else NO_OPERATOR
        g.fusion("bias + activation", path, [sums, active], reason)
        return active
    weight = g.weight(f"{path}.weight", transposed=True)
    g.gemms[path] = g.node("MatMul", [x, weight], f"{path}/matmul")
    inputs = [g.gemms[path], g.weight(f"{path}.bias")]
    active = g.contrib(operator, inputs, f"{name}/{operator.lower()}")
    g.fusion("bias + activation", path, [active])
    return active


def added_and_normed(
    g: GraphBuilder, x: str | None, path: str, residual: str, norm: str, epsilon: float
) -> str:
    """Write norm(residual + x W^T + b); without `x` only b is added.

    The addition is a Sum: ONNX Runtime turns Add and LayerNormalization into its slower operator.
    """
    added = g.weight(f"{path}.bias") if x is None else linear(g, x, path)
    total = g.node("Sum", [residual, added], f"{norm}/residual")
    normed = layer_norm(g, total, norm, epsilon)
    g.fusion("residual + LayerNorm", norm, [total, normed], SLOW_NORM)
    return normed
