"""The way of the hidden states through the encoder, in whatever dialect its blocks are written."""

from collections.abc import Mapping

from bertslim.graph import onnxruntime, standard
from bertslim.graph.attentions import Attentions
from bertslim.graph.blocks import Blocks
from bertslim.graph.nodes import GraphBuilder
from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths

DIALECTS: Mapping[str, Blocks] = {"standard": standard, "onnxruntime": onnxruntime}


def encoder(g: GraphBuilder, config: SlimBertConfig, prefix: str, *, first_token_only: bool) -> str:
    """Write all of the encoder; return the last states, (batch, length, hidden).

    Args:
        g: Where to.
        config: Its shape.
        prefix: Its module path, "bert." inside a model with a head.
        first_token_only: Whether the last layer goes on with the first token alone, (batch, 1,
            hidden).
    """
    blocks, widths = DIALECTS[g.form.dialect], layer_widths(config)
    attentions = Attentions(g, blocks, config, first_token_only=first_token_only)
    x = blocks.embeddings(g, config, f"{prefix}embeddings")
    for index, layer in enumerate(widths):
        path, memory = f"{prefix}layers.{index}", x
        if first_token_only and index == len(widths) - 1:
            first = g.constant("first_row", [0])
            x = g.node("Gather", [x, first], f"{path}/first_token", axis=1)
        context = attentions.context(x, memory, layer, f"{path}.attention")
        output, norm = f"{path}.attention.output", f"{path}.attention_norm"
        x = blocks.added_and_normed(g, context, output, x, norm, config.layer_norm_eps)
        x = feed_forward_part(g, config, x, layer, path)
    return x


def feed_forward_part(
    g: GraphBuilder, config: SlimBertConfig, x: str, widths: LayerWidths, path: str
) -> str:
    """norm(x + ffn(x)); an FFN without units adds its output bias."""
    blocks, active, ffn = DIALECTS[g.form.dialect], None, f"{path}.ffn"
    if widths.intermediate_size:
        function = config.hidden_act
        active = blocks.activated(g, x, f"{ffn}.intermediate", function, f"{ffn}.activation")
    norm = f"{path}.ffn_norm"
    return blocks.added_and_normed(g, active, f"{ffn}.output", x, norm, config.layer_norm_eps)
