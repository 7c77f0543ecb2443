"""int8 as quantise-dequantise pairs, which runtimes turn into integer products."""

import numpy as np
import numpy.typing as npt

from bertslim.graph.nodes import GraphBuilder
from bertslim.model.quantization import LEAST_STEP, LEVELS, Quantization, Range

Floats = npt.NDArray[np.float32]


def quantized(g: GraphBuilder, x: str, range_: Range, *, wide: bool = False) -> str:
    """Round an activation to its int8 grid, symmetric, one scale; asked for again, it is done once.

    x_q = clip(round(x / scale), -128, 127), x_dq = x_q * scale.

    Args:
        g: Where to.
        x: The activation.
        range_: Where its values lie.
        wide: Whether the scale is fp32 in an fp16 graph too.
    """
    name = f"{x}/dequantized"
    if g.has(name):
        return g.in_floats(name)
    source = g.in_fp32(x) if wide else g.in_floats(x)
    scale = g.real(f"{x}/scale", max(range_.scale, LEAST_STEP), wide=wide)
    zero = g.constant("zero_point", 0, np.int8)
    codes = g.node("QuantizeLinear", [source, scale, zero], f"{x}/quantized")
    return g.in_floats(g.node("DequantizeLinear", [codes, scale, zero], name))


def quantized_weight(g: GraphBuilder, path: str, *, scale: float, smoothing: Floats | None) -> str:
    """Write W^T, (in, out), in int8 with a scale for every output; see `smoothed_weight`."""
    weight = smoothed_weight(g, path, scale=scale, smoothing=smoothing)
    return quantized_constant(g, f"{path}.weight", weight, axis=1)


def smoothed_weight(
    g: GraphBuilder, path: str, *, scale: float, smoothing: Floats | None
) -> Floats:
    """Return scale * W^T, (in, out); with smoothing s, (in,), it is scale * (W * s)^T."""
    weight = g.array(f"{path}.weight", transposed=True, scale=scale)
    return weight if smoothing is None else weight * smoothing[:, None]


def quantized_constant(g: GraphBuilder, name: str, values: Floats, *, axis: int) -> str:
    """Write a matrix in int8 with a scale for every index of an axis: DQ(codes)."""
    codes, scales = rounded_constant(g, name, values, axis=axis)
    zeros = g.constant(f"{name}:zero", np.zeros(values.shape[axis]), np.int8)
    dequantized = f"{name}/dequantized"
    return g.in_floats(g.node("DequantizeLinear", [codes, scales, zeros], dequantized, axis=axis))


def rounded_constant(g: GraphBuilder, name: str, values: Floats, *, axis: int) -> tuple[str, str]:
    """Store a matrix as int8 codes, and a scale for every index of an axis.

    scale = max |w| / 127 in the type that it is stored in, codes = round(w / scale).
    """
    other = 1 - axis
    dtype = np.float32 if g.form.scales == "fp32" else g.floats
    scales = np.maximum(np.abs(values).max(axis=other) / LEVELS, LEAST_STEP).astype(dtype)
    steps = np.expand_dims(scales.astype(np.float32), other)
    codes = np.clip(np.rint(values / steps), -LEVELS, LEVELS)
    stored = g.constant(f"{name}:int8", codes, np.int8)
    return stored, _scale(g, f"{name}:scale", scales)


def smoothed(g: GraphBuilder, x: str, path: str, factors: Floats) -> str:
    """Write x / s; linear layers with the same input have the same s, so it is done once."""
    name = f"{x}/smoothed"
    if g.has(name):
        return name
    inverse = g.real(f"{path}.smoothing", 1 / factors, wide=g.is_wide(x))
    return g.node("Mul", [x, inverse], name)


def smoothing_of(quantization: Quantization, path: str) -> Floats | None:
    """Return a linear layer's s, (in,); None where there is none."""
    factors = quantization.smoothing.get(path)
    return None if factors is None else np.asarray(factors, np.float32)


def _scale(g: GraphBuilder, name: str, value: npt.ArrayLike) -> str:
    return g.real(name, value, wide=g.form.scales == "fp32")
