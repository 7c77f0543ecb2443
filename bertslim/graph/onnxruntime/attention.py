"""Self-attention in one operator."""

from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.onnxruntime.linear import linear
from bertslim.graph.standard.operators import length
from bertslim.model.configuration import LayerWidths

PARTS = ("query", "key", "value")

NOT_MERGED = "three products take no longer than one that has to be split again"
FLOAT_PRODUCTS = "ONNX Runtime's Attention computes in float"


def attention(
    g: GraphBuilder, x: str, memory: str, mask: str, widths: LayerWidths, path: str
) -> str:
    """Write softmax(Q K^T / sqrt(d) + mask) V: (batch, targets, heads * head_dim).

    Q is made of `x` (batch, targets, hidden), K and V of `memory` (batch, length, hidden). The
    operator is the standard's, which is faster than ONNX Runtime's own Attention and
    MultiHeadAttention, splits heads without moving them, and knows shared K/V heads.
    """
    sources = dict(zip(PARTS, (x, memory, memory), strict=True))
    values = [linear(g, source, f"{path}.{part}") for part, source in sources.items()]
    added = square(g, mask) if x == memory else mask
    context = g.node(
        "Attention",
        [*values, added],
        f"{path}/attention",
        q_num_heads=widths.heads,
        kv_num_heads=widths.kv_heads,
    )
    g.fusion("attention", path, [context])
    if x == memory:
        g.fusion("QKV", path, [g.gemms[f"{path}.{part}"] for part in PARTS], NOT_MERGED)
    if g.form.quantization and any(f"{path}.{p}" in g.form.quantization.products for p in PARTS):
        g.fusion("int8 attention", path, [context], FLOAT_PRODUCTS)
    return context


def square(g: GraphBuilder, mask: str) -> str:
    """Repeat a mask of one row, (batch, 1, 1, length), for every row: the operator does not."""
    name, ones = f"{mask}/square", g.constant("ones", [1, 1])
    if g.has(name):
        return name
    rows = [ones, length(g, mask), g.constant("one_column", [1])]
    shape = g.node("Concat", rows, f"{mask}/shape", axis=0)
    return g.node("Expand", [mask, shape], name)
