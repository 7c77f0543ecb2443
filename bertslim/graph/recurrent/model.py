"""The whole of a recurrent model: one function per head, each ending in the graph's outputs."""

from collections.abc import Callable, Mapping

from bertslim.graph.encoder import DIALECTS
from bertslim.graph.heads import BATCH, LENGTH
from bertslim.graph.nodes import FLOAT, FLOAT16, GraphBuilder
from bertslim.graph.recurrent.embeddings import embedded
from bertslim.graph.recurrent.layers import real_tokens, side_by_side, states
from bertslim.graph.recurrent.pooling import POOLINGS
from bertslim.model.lstm import modeling
from bertslim.model.lstm.configuration import SlimLstmConfig

Head = Callable[[GraphBuilder, SlimLstmConfig], None]


def encoder_states(g: GraphBuilder, config: SlimLstmConfig) -> None:
    """Hand out the states, 0 at padding."""
    found = _masked_states(g, config, "")
    rows = g.node("Transpose", [found], "states/rows", perm=(1, 0, 2))
    g.output(rows, "last_hidden_state", [BATCH, LENGTH, config.state_size])


def sequence_logits(g: GraphBuilder, config: SlimLstmConfig) -> None:
    """Classify, or score, a text or a pair."""
    x, real = embedded(g, config, "lstm.embeddings"), real_tokens(g)
    if config.pairs:
        x, real = apart(g, x, real)
    found = states(g, config, x, real, "lstm.")
    pooled = POOLINGS[config.pooling](g, config, found, real)
    if config.pairs:
        pooled = compared(g, config, pooled)
    g.output(classified(g, config, pooled), "logits", [BATCH, config.num_labels or 0])


def token_logits(g: GraphBuilder, config: SlimLstmConfig) -> None:
    """Classify every token."""
    found = _masked_states(g, config, "lstm.")
    logits = classified(g, config, found)  # (length, batch, labels)
    rows = g.node("Transpose", [logits], "classifier/rows", perm=(1, 0, 2))
    g.output(rows, "logits", [BATCH, LENGTH, config.num_labels or 0])


HEADS: Mapping[type[modeling.SlimLstmPreTrainedModel], Head] = {
    modeling.SlimLstmModel: encoder_states,
    modeling.SlimLstmForSequenceClassification: sequence_logits,
    modeling.SlimLstmForTokenClassification: token_logits,
}


def apart(g: GraphBuilder, x: str, real: str) -> tuple[str, str]:
    """Put the texts of a pair side by side as rows, each where it stands, the other one masked.

    (length, batch, width) and (length, batch, 1) become (length, 2 batch, width or 1).
    """
    kind = FLOAT if g.form.floats == "fp32" else FLOAT16
    columns = g.node("Transpose", ["token_type_ids"], "token_type_ids/columns", perm=(1, 0))
    axis = g.constant("axes_2", [2])
    types = g.node("Unsqueeze", [columns, axis], "token_type_ids/apart")
    types = g.node("Cast", [types], "token_type_ids/real", to=kind)
    second = g.node("Mul", [real, types], "pair/second")
    first = g.node("Sub", [real, second], "pair/first")
    both = g.node("Concat", [first, second], "pair/real", axis=1)
    return g.node("Concat", [x, x], "pair/words", axis=1), both


def compared(g: GraphBuilder, config: SlimLstmConfig, pooled: str) -> str:
    """(2 batch, size) -> [a; b; a * b; |a - b|], (batch, 4 size)."""
    shape = g.constant("two_texts", [2, -1, config.state_size])
    texts = g.node("Reshape", [pooled, shape], "pair/texts")
    a = g.node("Gather", [texts, g.constant("first", 0)], "pair/a", axis=0)
    b = g.node("Gather", [texts, g.constant("second", 1)], "pair/b", axis=0)
    product = g.node("Mul", [a, b], "pair/product")
    distance = g.node("Abs", [g.node("Sub", [a, b], "pair/difference")], "pair/distance")
    return g.node("Concat", [a, b, product, distance], "pair/compared", axis=-1)


def classified(g: GraphBuilder, config: SlimLstmConfig, x: str) -> str:
    """(..., size) -> (..., labels), through a ReLU layer if there is one."""
    blocks = DIALECTS[g.form.dialect]
    if config.head_size:
        x = blocks.activated(g, x, "classifier.dense", "relu", "classifier.activation")
    return blocks.linear(g, x, "classifier.output")


def _masked_states(g: GraphBuilder, config: SlimLstmConfig, path: str) -> str:
    """(length, batch, 2 hidden), 0 at padding."""
    x, real = embedded(g, config, f"{path}embeddings"), real_tokens(g)
    found = states(g, config, x, real, path)
    merged = side_by_side(g, config, found, f"{path}states")
    return g.node("Mul", [merged, real], f"{path}states/masked")
