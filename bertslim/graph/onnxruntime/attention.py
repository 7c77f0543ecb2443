"""Self-attention in one operator."""

from collections.abc import Collection
from dataclasses import replace

from bertslim.graph import standard
from bertslim.graph.blocks import Masks, Projected
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.onnxruntime.linear import linear
from bertslim.graph.standard.attention import PARTS
from bertslim.graph.standard.operators import length
from bertslim.model.configuration import LayerWidths

NOT_MERGED = "three products take no longer than one that has to be split again"
FLOAT_PRODUCTS = "ONNX Runtime's Attention computes in float"


def masks(g: GraphBuilder, windows: Collection[int | None]) -> Masks:
    """Write what the scores need added: (batch, 1, length, length) for all queries."""
    found = standard.masks(g, windows)
    if None not in windows:
        return found
    return replace(found, whole={**found.whole, None: square(g, found.row)})


def projected(g: GraphBuilder, x: str, memory: str, widths: LayerWidths, path: str) -> Projected:
    """Write queries, keys and values."""
    del widths  # the operator scales by itself
    sources = dict(zip(PARTS, (x, memory, memory), strict=True))
    parts = Projected(*(linear(g, source, f"{path}.{part}") for part, source in sources.items()))
    if x == memory:
        g.fusion("QKV", path, [g.gemms[f"{path}.{part}"] for part in PARTS], NOT_MERGED)
    return parts


def attended(
    g: GraphBuilder, parts: Projected, mask: str, widths: LayerWidths, path: str, place: str
) -> str:
    """Write softmax(Q K^T / sqrt(d) + mask) V: (batch, targets, heads * head_dim).

    The operator is the standard's, which is faster than ONNX Runtime's own Attention and
    MultiHeadAttention, splits heads without moving them, and knows shared K/V heads.
    """
    context = g.node(
        "Attention",
        [*parts, mask],
        f"{place}/attention",
        q_num_heads=widths.heads,
        kv_num_heads=widths.kv_heads,
    )
    g.fusion("attention", place, [context])
    if g.form.quantization and any(f"{path}.{p}" in g.form.quantization.products for p in PARTS):
        g.fusion("int8 attention", place, [context], FLOAT_PRODUCTS)
    return context


def square(g: GraphBuilder, mask: str) -> str:
    """Repeat a mask of one row, (batch, 1, 1, length), for every row: the operator does not."""
    rows = [g.constant("ones", [1, 1]), length(g, mask), g.constant("one_column", [1])]
    shape = g.node("Concat", rows, f"{mask}/shape", axis=0)
    return g.node("Expand", [mask, shape], f"{mask}/square")
