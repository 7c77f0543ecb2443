"""int8 as ONNX Runtime computes it fastest on x86: uint8 activations, int8 weights, fp32 results.

With signed activations, or unsigned weights, the same products take several times as long.
"""

import numpy as np

from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.integers import (
    rounded_constant,
    smoothed,
    smoothed_weight,
    smoothing_of,
)
from bertslim.model.quantization import Quantization

Codes = tuple[str, str, str]
"""Names of the codes, their step and their zero point: real = step * (code - zero)."""


def integer_linear(
    g: GraphBuilder, quantization: Quantization, x: str, path: str, *, scale: float = 1.0
) -> str:
    """Write scale * (x W^T + b) with an integer product, which scales and adds the bias itself."""
    factors = smoothing_of(quantization, path)
    if factors is not None:
        x = smoothed(g, x, path, factors)
    codes, step, zero = rounded_input(g, quantization, x, path)
    weight = smoothed_weight(g, path, scale=scale, smoothing=factors)  # (in, out)
    columns, steps = rounded_constant(g, f"{path}.weight", weight, axis=1)
    inputs = [codes, columns, step, steps, zero, "", g.weight(f"{path}.bias", scale=scale)]
    product = g.contrib("MatMulIntegerToFloat", inputs, f"{path}/matmul")
    g.gemms[path] = product
    g.fusion("GEMM + bias", path, [product])
    return product


def rounded_input(g: GraphBuilder, quantization: Quantization, x: str, path: str) -> Codes:
    """Round what goes into a linear layer to uint8; layers that share an input share the codes.

    x_q = clip(round(x / step) + zero, 0, 255). The range is that of the path; in a dynamic graph
    that of the batch at hand, its padding included.
    """
    found = (f"{x}/quantized", f"{x}/quantized:step", f"{x}/quantized:zero")
    if g.has(found[0]):
        return found
    if g.form.dynamic:
        g.several("DynamicQuantizeLinear", [x], found)
        return found
    step, zero = quantization.inputs[path].unsigned
    inputs = [x, g.real(found[1], step), g.constant(found[2], zero, np.uint8)]
    g.node("QuantizeLinear", inputs, found[0])
    return found
