"""A bidirectional LSTM as one operator; it is given no lengths, since its padding is 0."""

import numpy as np

from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.integers import Floats

GATES = (0, 3, 1, 2)
"""Where ONNX's gates i, o, f, g are among PyTorch's i, f, g, o."""
FLOAT_STATES = "with static ranges an LSTM computes in float"


def lstm(g: GraphBuilder, x: str, hidden: int, path: str) -> str:
    """Return (length, directions, batch, hidden) of (length, batch, inputs)."""
    weights = [
        g.real(f"{path}.{name}", in_onnx_order(g.array(f"{path}.{name}")))
        for name in ("input_weight", "state_weight")
    ]
    name = f"{path}/lstm"
    inputs = [x, *weights, biases(g, path)]
    g.node("LSTM", inputs, name, direction="bidirectional", hidden_size=hidden)
    g.fusion("LSTM", path, [name])
    if g.form.quantization:
        g.fusion("int8 LSTM", path, [name], FLOAT_STATES)
    return name


def in_onnx_order(weights: Floats) -> Floats:
    """Reorder the gates of (directions, 4 hidden, inputs)."""
    gates = np.split(weights, 4, axis=1)
    return np.concatenate([gates[gate] for gate in GATES], axis=1)


def biases(g: GraphBuilder, path: str) -> str:
    """(6 hidden) of i, f, o -> (directions, 8 hidden) of i, o, f, g, twice; the second are 0."""
    bias = g.array(f"{path}.bias")
    i, f, o = np.moveaxis(bias.reshape(2, 3, -1), 1, 0)  # (directions, hidden) each
    return g.real(f"{path}.bias", np.concatenate([i, o, f, *[np.zeros_like(i)] * 5], axis=1))
