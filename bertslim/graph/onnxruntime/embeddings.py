"""Words, positions and token types; tensors are (batch, length, width) where unsaid."""

from bertslim.graph.nodes import FLOAT, GraphBuilder
from bertslim.graph.onnxruntime.linear import linear
from bertslim.graph.standard.embeddings import position_embeddings, token_type_embeddings
from bertslim.graph.standard.integers import rounded_constant
from bertslim.graph.standard.operators import layer_norm
from bertslim.model.configuration import SlimBertConfig

SLOW_EMBEDDINGS = "EmbedLayerNormalization takes longer on a CPU than its parts"


def embeddings(g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
    """Words + positions (+ token types), normalised, projected where the encoder is wider."""
    words = rows(g, f"{path}.word_embeddings", "input_ids")
    parts = [words, position_embeddings(g, config, f"{path}.position_embeddings")]
    if config.type_vocab_size:
        parts.append(token_type_embeddings(g, config, f"{path}.token_type_embeddings"))
    x = g.node("Sum", parts, f"{path}/sum")
    normed = layer_norm(g, x, f"{path}.layer_norm", config.layer_norm_eps)
    g.fusion("embeddings + LayerNorm", path, [words, x, normed], SLOW_EMBEDDINGS)
    if config.embedding_size == config.hidden_size:
        return normed
    return linear(g, normed, f"{path}.projection")


def rows(g: GraphBuilder, path: str, ids: str) -> str:
    """Rows by id, of a table that may be int8, with a scale for each row.

    The rows that were gathered are scaled, since ONNX Runtime would scale all of DQ(table) anew at
    every run.
    """
    quantization, name = g.form.quantization, f"{path}.weight"
    if quantization is None or not quantization.embedding:
        return g.node("Gather", [g.weight(name), ids], f"{path}/gather")
    table, scales = rounded_constant(g, name, g.array(name), axis=0)  # (words, width), (words,)
    codes = g.node("Gather", [table, ids], f"{path}/codes")
    real = g.node("Cast", [codes], f"{path}/real", to=FLOAT)
    scale = g.node("Gather", [scales, ids], f"{path}/scale")  # (batch, length)
    column = g.node("Unsqueeze", [scale, g.constant("axes_2", [2])], f"{path}/column")
    return g.node("Mul", [real, column], f"{path}/gather")
