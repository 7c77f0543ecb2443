"""The layers of LSTMs, and the masks around them."""

from bertslim.graph.encoder import DIALECTS
from bertslim.graph.nodes import FLOAT, FLOAT16, GraphBuilder
from bertslim.model.lstm.configuration import SlimLstmConfig


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
        found = DIALECTS[g.form.dialect].lstm(g, masked, config.hidden_size, layer)
    return found


def side_by_side(g: GraphBuilder, config: SlimLstmConfig, found: str, path: str) -> str:
    """(length, directions, batch, hidden) -> (length, batch, directions * hidden)."""
    moved = g.node("Transpose", [found], f"{path}/directions", perm=(0, 2, 1, 3))
    shape = g.constant("side_by_side", [0, 0, config.state_size])
    return g.node("Reshape", [moved, shape], f"{path}/states")
