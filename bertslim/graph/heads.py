"""What follows the encoder: one function per kind of model, each ending in the graph's outputs."""

from bertslim.graph.encoder import DIALECTS
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.operators import activation, layer_norm
from bertslim.model.configuration import SlimBertConfig

BATCH, LENGTH = "batch", "length"


def states(g: GraphBuilder, config: SlimBertConfig, x: str) -> None:
    """Hand out the encoder's states, and the pooled one where there is a pooler."""
    g.output(x, "last_hidden_state", [BATCH, LENGTH, config.hidden_size])
    if config.pooler_activation:
        pooled = pooler(g, config, x, "pooler")
        g.output(pooled, "pooler_output", [BATCH, config.hidden_size])


def sequence_logits(g: GraphBuilder, config: SlimBertConfig, x: str) -> None:
    """Classify, or score, the whole sequence."""
    if config.pooler_activation:
        pooled = pooler(g, config, x, "bert.pooler")
    else:
        pooled = first_token(g, x, "classifier")
    g.output(linear(g, pooled, "classifier"), "logits", [BATCH, config.num_labels or 0])


def token_logits(g: GraphBuilder, config: SlimBertConfig, x: str) -> None:
    """Classify every token."""
    g.output(linear(g, x, "classifier"), "logits", [BATCH, LENGTH, config.num_labels or 0])


def span_logits(g: GraphBuilder, _config: SlimBertConfig, x: str) -> None:
    """Score every token as the start and as the end of the answer."""
    both = linear(g, x, "qa_outputs")
    for index, name in enumerate(("start_logits", "end_logits")):
        column = g.constant(f"column_{index}", index)
        logits = g.node("Gather", [both, column], f"qa_outputs/{name}", axis=-1)
        g.output(logits, name, [BATCH, LENGTH])


def word_logits(g: GraphBuilder, config: SlimBertConfig, x: str) -> None:
    """Score every word of the vocabulary at every token, by the word embeddings themselves."""
    x = linear(g, x, "mlm.dense")
    x = activation(g, x, config.mlm_activation, "mlm.activation")
    x = layer_norm(g, x, "mlm.layer_norm", config.layer_norm_eps)
    # runtimes transpose the table once, when they load; the file holds it once
    table = g.weight("bert.embeddings.word_embeddings.weight")
    columns = g.node("Transpose", [table], "mlm.decoder/transpose", perm=(1, 0))
    scores = g.node("MatMul", [x, columns], "mlm.decoder/matmul")
    logits = g.node("Add", [scores, g.weight("mlm.bias")], "mlm.decoder/bias")
    g.output(logits, "logits", [BATCH, LENGTH, config.vocab_size])


def pooler(g: GraphBuilder, config: SlimBertConfig, x: str, path: str) -> str:
    """The first token's state through one more layer: (batch, hidden)."""
    pooled = linear(g, first_token(g, x, path), path)
    return activation(g, pooled, config.pooler_activation or "", f"{path}_activation")


def first_token(g: GraphBuilder, x: str, path: str) -> str:
    """(batch, length, hidden) -> (batch, hidden)."""
    return g.node("Gather", [x, g.constant("first", 0)], f"{path}/first_token", axis=1)


def linear(g: GraphBuilder, x: str, path: str) -> str:
    """Write x W^T + b in the graph's dialect."""
    return DIALECTS[g.form.dialect].linear(g, x, path)
