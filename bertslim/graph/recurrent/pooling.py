"""How the states of a text become one vector, (batch, 2 hidden)."""

from collections.abc import Callable, Mapping

import numpy as np

from bertslim.graph.encoder import DIALECTS
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.recurrent.layers import side_by_side
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.layers import FAR_BELOW

END = np.iinfo(np.int64).max
"""Of a slice that goes on to the end."""

Pool = Callable[[GraphBuilder, SlimLstmConfig, str, str], str]
"""(graph, config, states (length, directions, batch, hidden), real (length, batch, 1)) -> pooled"""


def ends(g: GraphBuilder, config: SlimLstmConfig, states: str, real: str) -> str:
    """Write the last state of each direction: at the last token, and at the first one."""
    margin = g.constant("margin", [1, 0, 0, 1, 0, 0])
    padded = g.node("Pad", [real, margin], "pooling/padded", mode="constant")
    before = _shifted(g, padded, 0, -2, "pooling/before")
    behind = _shifted(g, padded, 2, END, "pooling/behind")
    # the left direction ends where no token is behind, the right one where none is before
    last = g.node("Greater", [real, behind], "pooling/last")
    first = g.node("Greater", [real, before], "pooling/first")
    axis = g.constant("axes_1", [1])
    columns = [g.node("Unsqueeze", [at, axis], f"{at}_column") for at in (last, first)]
    chosen = g.node("Concat", columns, "pooling/chosen", axis=1)  # (length, directions, batch, 1)
    kept = g.node("Where", [chosen, states, g.real("nothing", 0)], "pooling/kept")
    total = g.node("ReduceSum", [kept, g.constant("axes_0", [0])], "pooling/ends", keepdims=0)
    rows = g.node("Transpose", [total], "pooling/rows", perm=(1, 0, 2))
    shape = g.constant("pooled", [0, config.state_size])
    return g.node("Reshape", [rows, shape], "pooling/pooled")


def attention(g: GraphBuilder, config: SlimLstmConfig, states: str, real: str) -> str:
    """Write a mean, each state weighed by softmax(v^T tanh(W h + b)); the softmax is fp32."""
    x = side_by_side(g, config, states, "pooling")
    hidden = DIALECTS[g.form.dialect].activated(g, x, "pooling.dense", "tanh", "pooling.activation")
    column = g.weight("pooling.score.weight", transposed=True)
    scores = g.node("MatMul", [hidden, column], "pooling.score/matmul")  # (length, batch, 1)
    bottom = g.real("far_below", FAR_BELOW, wide=True)
    masked = g.node("Where", [_is_real(g, real), g.in_fp32(scores), bottom], "pooling/masked")
    weights = g.in_floats(g.node("Softmax", [masked], "pooling/softmax", axis=0))
    weighed = g.node("Mul", [x, weights], "pooling/weighed")
    axes = g.constant("axes_0", [0])
    return g.node("ReduceSum", [weighed, axes], "pooling/pooled", keepdims=0)


def largest(g: GraphBuilder, config: SlimLstmConfig, states: str, real: str) -> str:
    """Write the largest value of each channel; states lie between -1 and 1."""
    x = side_by_side(g, config, states, "pooling")
    masked = g.node("Where", [_is_real(g, real), x, g.real("below", -2)], "pooling/masked")
    axes = g.constant("axes_0", [0])
    return g.node("ReduceMax", [masked, axes], "pooling/pooled", keepdims=0)


POOLINGS: Mapping[str, Pool] = {"ends": ends, "attention": attention, "max": largest}


def _shifted(g: GraphBuilder, x: str, start: int, end: int, name: str) -> str:
    limits = [g.constant(f"{name}:start", [start]), g.constant(f"{name}:end", [end])]
    return g.node("Slice", [x, *limits, g.constant("axes_0", [0])], name)


def _is_real(g: GraphBuilder, real: str) -> str:
    return g.node("Greater", [real, g.real("nothing", 0)], "pooling/real")
