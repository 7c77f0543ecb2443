"""Words, positions and token types; tensors are (batch, length, width) where unsaid."""

from bertslim.graph.nodes import INT64, GraphBuilder
from bertslim.graph.standard.integers import quantized_constant
from bertslim.graph.standard.linear import linear
from bertslim.graph.standard.operators import layer_norm, length
from bertslim.model.configuration import SlimBertConfig


def embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """Words + positions (+ token types), normalised, projected where the encoder is wider."""
    norm = f"{path}.layer_norm"
    words = x = rows(g, f"{path}.word_embeddings", "input_ids")
    places = position_embeddings(g, config, f"{path}.position_embeddings")
    x = g.node("Add", [x, places], f"{path}.position_embeddings/add")
    if config.type_vocab_size:
        types = token_type_embeddings(g, config, f"{path}.token_type_embeddings")
        x = g.node("Add", [x, types], f"{path}.token_type_embeddings/add")
    if norm in g.form.islands:
        x = g.in_fp32(x)
    normed = layer_norm(g, x, norm, config.layer_norm_eps)
    g.fusion("embeddings + LayerNorm", path, [words, x, normed])
    x = g.in_floats(normed)
    if config.embedding_size != config.hidden_size:
        x = linear(g, x, f"{path}.projection")
    return x


def rows(g: GraphBuilder, path: str, ids: str) -> str:
    """Rows by id, of a table that may be int8, with a scale for each row."""
    quantization, name = g.form.quantization, f"{path}.weight"
    if quantization and quantization.embedding:
        table = quantized_constant(g, name, g.array(name), axis=0)
    else:
        table = g.weight(name)
    return g.node("Gather", [table, ids], f"{path}/gather")


def position_embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """The table's first rows, (length, width), or rows by position, (batch, length, width)."""
    table = g.weight(f"{path}.weight")
    if config.position_offset == 0:
        # the axis is told: TensorRT does not take it for granted
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
