"""Embeddings and encoder layers as ONNX nodes; tensors are (batch, length, width) where unsaid."""

from bertslim.graph.attention import attention, attention_masks
from bertslim.graph.nodes import INT64, GraphBuilder
from bertslim.graph.operators import activation, layer_norm, length, linear
from bertslim.model.configuration import SlimBertConfig, layer_widths


def encoder(g: GraphBuilder, config: SlimBertConfig, prefix: str, *, first_token_only: bool) -> str:
    """Write all of the encoder.

    Args:
        g: Where to.
        config: Its shape.
        prefix: Its module path, "bert." inside a model with a head.
        first_token_only: Whether the last layer goes on with the first token alone, (batch, 1,
            hidden).
    """
    epsilon = config.layer_norm_eps
    widths = layer_widths(config)
    masks = attention_masks(g, [layer.window for layer in widths])
    x = embeddings(g, config, f"{prefix}embeddings")
    for index, layer in enumerate(widths):
        path = f"{prefix}layers.{index}"
        memory, window = x, layer.window
        if first_token_only and index == len(widths) - 1:
            # the first token sees through every window
            first = g.constant("first_row", [0])
            x, window = g.node("Gather", [x, first], f"{path}/first_token", axis=1), None
        attended = attention(g, x, memory, masks[window], layer, f"{path}.attention")
        x = g.node("Add", [x, attended], f"{path}.attention_norm/residual")
        x = layer_norm(g, x, f"{path}.attention_norm", epsilon)
        changed = feed_forward(g, x, layer.intermediate_size, config.hidden_act, f"{path}.ffn")
        x = g.node("Add", [x, changed], f"{path}.ffn_norm/residual")
        x = layer_norm(g, x, f"{path}.ffn_norm", epsilon)
    return x


def feed_forward(g: GraphBuilder, x: str, units: int, function: str, path: str) -> str:
    """Two products around an activation; of an FFN without units the output bias is left."""
    if units == 0:
        return g.weight(f"{path}.output.bias")
    x = linear(g, x, f"{path}.intermediate")
    x = activation(g, x, function, f"{path}.activation")
    return linear(g, x, f"{path}.output")


def embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """Words + positions (+ token types), normalised, projected where the encoder is wider."""
    words = g.weight(f"{path}.word_embeddings.weight")
    x = g.node("Gather", [words, "input_ids"], f"{path}.word_embeddings/gather")
    places = position_embeddings(g, config, f"{path}.position_embeddings")
    x = g.node("Add", [x, places], f"{path}.position_embeddings/add")
    if config.type_vocab_size:
        types = token_type_embeddings(g, config, f"{path}.token_type_embeddings")
        x = g.node("Add", [x, types], f"{path}.token_type_embeddings/add")
    x = layer_norm(g, x, f"{path}.layer_norm", config.layer_norm_eps)
    if config.embedding_size != config.hidden_size:
        x = linear(g, x, f"{path}.projection")
    return x


def position_embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """The table's first rows, (length, width), or rows by position, (batch, length, width)."""
    table = g.weight(f"{path}.weight")
    if config.position_offset == 0:
        # TensorRT's parser wants the axes said
        limits = [g.constant("start", [0]), length(g, path), g.constant("axes_0", [0])]
        return g.node("Slice", [table, *limits], f"{path}/slice")
    # RoBERTa: position = cumsum(real) * real + padding id, where real is 0 for padding, otherwise 1
    padding = g.constant("padding_id", config.position_offset - 1)
    is_padding = g.node("Equal", ["input_ids", padding], f"{path}/is_padding")
    is_real = g.node("Not", [is_padding], f"{path}/is_real")
    real = g.node("Cast", [is_real], f"{path}/real", to=INT64)
    count = g.node("CumSum", [real, g.constant("length_axis", 1)], f"{path}/count")
    counted = g.node("Mul", [count, real], f"{path}/counted")
    ids = g.node("Add", [counted, padding], f"{path}/ids")
    return g.node("Gather", [table, ids], f"{path}/gather")


def token_type_embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """Rows by token type; a table of one row, (1, width), is added as it is and needs no input."""
    table = g.weight(f"{path}.weight")
    if config.type_vocab_size == 1:
        return table
    return g.node("Gather", [table, "token_type_ids"], f"{path}/gather")
