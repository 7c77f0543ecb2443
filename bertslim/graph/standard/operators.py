"""Building blocks without products: normalising, activating, counting."""

from collections.abc import Mapping

from bertslim.errors import CheckpointError
from bertslim.graph.nodes import Attribute, GraphBuilder

ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Attribute]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_python": ("Gelu", {"approximate": "none"}),
    "gelu_fast": ("Gelu", {"approximate": "tanh"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
}
"""transformers' names, and the ONNX operator of each."""


def layer_norm(g: GraphBuilder, x: str, path: str, epsilon: float) -> str:
    """Normalise the last axis, then scale and shift it; the statistics are fp32 in any graph."""
    wide = g.is_wide(x)
    inputs = [x, g.weight(f"{path}.weight", wide=wide), g.weight(f"{path}.bias", wide=wide)]
    return g.node("LayerNormalization", inputs, f"{path}/norm", axis=-1, epsilon=epsilon)


def activation(g: GraphBuilder, x: str, function: str, path: str) -> str:
    """Apply an activation by transformers' name.

    Raises:
        CheckpointError: If no single ONNX operator is that activation.
    """
    if function not in ACTIVATIONS:
        raise CheckpointError(
            f"activation {function!r} has no ONNX operator", f"known: {', '.join(ACTIVATIONS)}"
        )
    operator, attributes = ACTIVATIONS[function]
    return g.node(operator, [x], f"{path}/{operator.lower()}", **attributes)


def length(g: GraphBuilder, path: str) -> str:
    """The length of the batch at hand: (1,)."""
    return g.node("Shape", ["input_ids"], f"{path}/length", start=1, end=2)
