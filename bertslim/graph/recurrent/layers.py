"""The BiLSTM as one node, and the masks around it."""

import numpy as np
import numpy.typing as npt

from bertslim.graph.nodes import FLOAT, FLOAT16, GraphBuilder
from bertslim.model.lstm.configuration import SlimLstmConfig

GATES = (0, 3, 1, 2)
"""Where ONNX's gates i, o, f, g are among PyTorch's i, f, g, o."""


def real_tokens(g: GraphBuilder) -> str:
    """1 for tokens, 0 for padding: (length, batch, 1), in the graph's floats."""
    kind = FLOAT if g.form.floats == "fp32" else FLOAT16
    columns = g.node("Transpose", ["attention_mask"], "attention_mask/columns", perm=(1, 0))
    apart = g.node("Unsqueeze", [columns, g.constant("axes_2", [2])], "attention_mask/apart")
    return g.node("Cast", [apart], "attention_mask/real", to=kind)


def states(g: GraphBuilder, config: SlimLstmConfig, x: str, real: str, path: str) -> str:
    """Write all layers: (length, directions, batch, hidden), not masked.

    Args:
        g: Where to.
        config: Its shape.
        x: (length, batch, inputs).
        real: (length, batch, 1), 1 at the tokens of one text.
        path: Of the encoder, with a dot behind it, or nothing.
    """
    found = ""
    for index in range(config.num_hidden_layers):
        layer = f"{path}layers.{index}"
        if found:
            x = side_by_side(g, config, found, f"{path}layers.{index - 1}")
        masked = g.node("Mul", [x, real], f"{layer}/input")
        found = lstm(g, masked, config.hidden_size, layer)
    return found


def side_by_side(g: GraphBuilder, config: SlimLstmConfig, found: str, path: str) -> str:
    """(length, directions, batch, hidden) -> (length, batch, directions * hidden)."""
    moved = g.node("Transpose", [found], f"{path}/directions", perm=(0, 2, 1, 3))
    shape = g.constant("side_by_side", [0, 0, config.state_size])
    return g.node("Reshape", [moved, shape], f"{path}/states")


def lstm(g: GraphBuilder, x: str, hidden: int, path: str) -> str:
    """Write both directions over the whole length: no lengths are given, padding is 0."""
    parameters = [
        g.real(f"{path}.input_weight", in_onnx_order(g.array(f"{path}.input_weight"))),
        g.real(f"{path}.state_weight", in_onnx_order(g.array(f"{path}.state_weight"))),
        g.real(f"{path}.bias", both_biases(g.array(f"{path}.bias"))),
    ]
    name = f"{path}/lstm"
    g.node("LSTM", [x, *parameters], name, direction="bidirectional", hidden_size=hidden)
    g.fusion("LSTM", path, [name])
    return name


def in_onnx_order(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reorder the gates of (directions, 4 hidden, inputs)."""
    gates = np.split(weights, 4, axis=1)
    return np.concatenate([gates[gate] for gate in GATES], axis=1)


def both_biases(bias: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(6 hidden) of i, f, o -> (directions, 8 hidden) of i, o, f, g, twice; the second are 0."""
    i, f, o = np.moveaxis(bias.reshape(2, 3, -1), 1, 0)  # (directions, hidden) each
    zeros = np.zeros_like(i)
    return np.concatenate([i, o, f, zeros, *[zeros] * 4], axis=1)
