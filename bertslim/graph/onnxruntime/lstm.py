"""A bidirectional LSTM, with int8 weights where ranges are measured at run time."""

import numpy as np

from bertslim.graph import standard
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.lstm import biases, in_onnx_order
from bertslim.model.quantization import LEAST_STEP, LEVELS


def lstm(g: GraphBuilder, x: str, hidden: int, path: str) -> str:
    """Return (length, directions, batch, hidden) of (length, batch, inputs)."""
    if g.form.quantization and g.form.dynamic:
        return _integer_lstm(g, x, hidden, path)
    return standard.lstm(g, x, hidden, path)


def _integer_lstm(g: GraphBuilder, x: str, hidden: int, path: str) -> str:
    """Round all inputs of a batch alike, states anew at every step, weights by gate and unit."""
    (w, *w_grid), (r, *r_grid) = (
        _rounded(g, f"{path}.{name}") for name in ("input_weight", "state_weight")
    )
    no_lengths_or_first_states = [""] * 4
    inputs = [x, w, r, biases(g, path), *no_lengths_or_first_states, *w_grid, *r_grid]
    g.contrib(
        "DynamicQuantizeLSTM",
        inputs,
        name := f"{path}/lstm",
        direction="bidirectional",
        hidden_size=hidden,
    )
    for kind in ("LSTM", "int8 LSTM"):
        g.fusion(kind, path, [name])
    return name


def _rounded(g: GraphBuilder, name: str) -> tuple[str, str, str]:
    """Store (directions, 4 hidden, inputs) as codes (directions, inputs, 4 hidden).

    With them go a scale and a zero point for every output: (directions, 4 hidden).
    """
    weights = in_onnx_order(g.array(name))
    scales = np.maximum(np.abs(weights).max(axis=2) / LEVELS, LEAST_STEP)
    codes = np.rint(weights / scales[:, :, None]).transpose(0, 2, 1)
    return (
        g.constant(f"{name}:int8", codes, np.int8),
        g.real(f"{name}:scale", scales),
        g.constant(f"{name}:zero", np.zeros_like(scales), np.int8),
    )
