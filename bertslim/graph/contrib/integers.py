"""int8 as ONNX Runtime computes it fastest on x86: uint8 activations, int8 weights, fp32 results.

With signed activations the same products take four times as long.
"""

import numpy as np

from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.integers import (
    rounded_constant,
    smoothed,
    smoothed_weight,
    smoothing_of,
)


def is_int8(g: GraphBuilder, path: str) -> bool:
    """Whether a linear layer computes in int8."""
    return g.form.quantization is not None and path in g.form.quantization.inputs


def integer_linear(g: GraphBuilder, x: str, path: str, *, scale: float = 1.0) -> str:
    """Write scale * (x W^T + b) with an integer product, which scales and adds the bias itself."""
    quantization = g.form.quantization
    factors = smoothing_of(quantization, path) if quantization else None
    if factors is not None:
        x = smoothed(g, x, path, factors)
    codes, step, zero = codes_of(g, x, path)
    weight = smoothed_weight(g, path, scale=scale, smoothing=factors)  # (in, out)
    columns, steps = rounded_constant(g, f"{path}.weight", weight, axis=1)
    bias = g.weight(f"{path}.bias", scale=scale)
    inputs = [codes, columns, step, steps, zero, "", bias]
    product = g.contrib("MatMulIntegerToFloat", inputs, f"{path}/matmul")
    g.gemms[path] = product
    g.fusion("GEMM + bias", path, [product])
    return product


def codes_of(g: GraphBuilder, x: str, path: str) -> tuple[str, str, str]:
    """Round what goes into a linear layer to uint8; return codes, step and zero point.

    x_q = clip(round(x / step) + zero point, 0, 255). Layers that share an input share the codes.
    The range is that of the path, or in a dynamic graph that of the batch at hand.
    """
    name, others = f"{x}/quantized", ("step", "zero")
    values = (name, *(f"{name}:{other}" for other in others))
    if g.has(name):
        return values[0], values[1], values[2]
    if g.form.dynamic:
        g.several("DynamicQuantizeLinear", [x], name, others)
        return values[0], values[1], values[2]
    step, zero = _grid(g, path)
    inputs = [x, g.real(values[1], step), g.constant(values[2], zero, np.uint8)]
    g.node("QuantizeLinear", inputs, name)
    return values[0], values[1], values[2]


def _grid(g: GraphBuilder, path: str) -> tuple[float, int]:
    if g.form.quantization is None:
        raise ValueError(f"{path} has no range")
    return g.form.quantization.inputs[path].unsigned
