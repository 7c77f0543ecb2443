"""Linear layers, alone, before an activation, and before a residual sum with its norm."""

from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.integers import quantized, quantized_weight, smoothed, smoothing_of
from bertslim.graph.standard.operators import activation, layer_norm


def linear(g: GraphBuilder, x: str, path: str, *, scale: float = 1.0) -> str:
    """Write scale * (x W^T + b), the scale multiplied into W and b: (..., in) -> (..., out).

    The product is int8 if the path has a range, fp32 if it is an island.
    """
    product = _product(g, x, path, scale)
    g.gemms[path] = product
    bias = g.weight(f"{path}.bias", scale=scale, wide=g.is_wide(product))
    return g.node("Add", [product, bias], f"{path}/bias")


def activated(g: GraphBuilder, x: str, path: str, function: str, name: str) -> str:
    """Write f(x W^T + b)."""
    sums = linear(g, x, path)
    active = activation(g, sums, function, name)
    g.fusion("bias + activation", path, [sums, active])
    g.fusion("GEMM + activation", path, [g.gemms[path], active])
    return g.in_floats(active)


def added_and_normed(
    g: GraphBuilder, x: str | None, path: str, residual: str, norm: str, epsilon: float
) -> str:
    """Write norm(residual + x W^T + b); without `x` only b is added.

    In an island the sum and the norm are fp32: what exceeds fp16 there comes back within it.
    """
    added = g.weight(f"{path}.bias") if x is None else linear(g, x, path)
    if norm in g.form.islands or g.is_wide(added):
        added, residual = g.in_fp32(added), g.in_fp32(residual)
    total = g.node("Add", [residual, added], f"{norm}/residual")
    normed = layer_norm(g, total, norm, epsilon)
    g.fusion("residual + LayerNorm", norm, [total, normed])
    return g.in_floats(normed)


def _product(g: GraphBuilder, x: str, path: str, scale: float) -> str:
    quantization, name = g.form.quantization, f"{path}/matmul"
    if quantization and path in quantization.inputs:
        factors = smoothing_of(quantization, path)
        if factors is not None:
            x = smoothed(g, x, path, factors)
        x = quantized(g, x, quantization.inputs[path], wide=g.form.scales == "fp32")
        weight = quantized_weight(g, path, scale=scale, smoothing=factors)
        return g.node("MatMul", [x, weight], name)
    wide = path in g.form.islands
    x = g.in_fp32(x) if wide else g.in_floats(x)
    weight = g.weight(f"{path}.weight", transposed=True, scale=scale, wide=wide)
    return g.node("MatMul", [x, weight], name)
