"""Self-attention in one operator, with its products with weights where that is faster."""

from collections.abc import Collection

import numpy as np

from bertslim.graph.contrib.integers import is_int8
from bertslim.graph.contrib.linear import linear
from bertslim.graph.nodes import INT32, GraphBuilder
from bertslim.graph.standard.attention import MASKED, outside_window
from bertslim.model.configuration import LayerWidths

PARTS = ("query", "key", "value")

FASTER_APART = "three integer products are faster than one that has to be split again"
SHARED_HEADS = "ONNX Runtime's Attention has no shared key and value heads"
FLOAT_PRODUCTS = "ONNX Runtime has no integer products inside an attention that would be faster"


def masks(g: GraphBuilder, windows: Collection[int | None]) -> dict[int | None, str]:
    """Write what is attended to as int32 0 and 1, once for each window.

    It is (batch, length) for no window, (batch, length, length) for the others.
    """
    full = g.node("Cast", ["attention_mask"], "attention_mask/real", to=INT32)
    found: dict[int | None, str] = {None: full}
    for window in sorted({w for w in windows if w is not None}):
        path = f"attention_window_{window}"
        inside = g.node("Not", [outside_window(g, window, path)], f"{path}/inside")
        near = g.node("Cast", [inside], f"{path}/near", to=INT32)
        row = g.node("Unsqueeze", [full, g.constant("axes_1", [1])], f"{path}/real")
        found[window] = g.node("Mul", [row, near], f"{path}/mask")
    return found


def attention(
    g: GraphBuilder, x: str, memory: str, mask: str, widths: LayerWidths, path: str
) -> str:
    """Write softmax(Q K^T / sqrt(d) + mask) V: (batch, targets, heads * head_dim).

    Q is made of `x` (batch, targets, hidden), K and V of `memory` (batch, length, hidden). The
    operator multiplies by 1 / sqrt(d) within its product.
    """
    apart = _why_apart(g, widths, path)
    if x == memory and not apart:
        return _attention_with_weights(g, x, mask, widths, path)
    q, k, v = (
        linear(g, source, f"{path}.{part}")
        for part, source in zip(PARTS, (x, memory, memory), strict=True)
    )
    k, v = (repeated(g, part, widths) for part in (k, v))
    context = _operator(g, "MultiHeadAttention", [q, k, v, "", mask], widths, path)
    if x == memory:
        g.fusion("QKV", path, [g.gemms[f"{path}.{part}"] for part in PARTS], apart)
    if g.form.quantization and any(f"{path}.{p}" in g.form.quantization.products for p in PARTS):
        g.fusion("int8 attention", path, [context], FLOAT_PRODUCTS)
    return context


def repeated(g: GraphBuilder, x: str, widths: LayerWidths) -> str:
    """Repeat each K/V head for its group: (batch, length, heads * head_dim).

    Head k serves the query heads k * group ... + group - 1.
    """
    if widths.heads == widths.kv_heads:
        return x
    group, path = widths.heads // widths.kv_heads, x.split("/")[0]
    split = g.constant(
        f"split_{widths.kv_heads}_{widths.head_dim}_1", [0, 0, widths.kv_heads, 1, widths.head_dim]
    )
    apart = g.node("Reshape", [x, split], f"{path}/apart")
    times = g.constant(f"repeat_{group}", [1, 1, 1, group, 1])
    copies = g.node("Expand", [apart, times], f"{path}/copies")
    width = widths.heads * widths.head_dim
    return g.node(
        "Reshape", [copies, g.constant(f"merge_{width}", [0, 0, width])], f"{path}/repeated"
    )


def _why_apart(g: GraphBuilder, widths: LayerWidths, path: str) -> str:
    """Why Q, K and V are products of their own; empty if they are not."""
    if widths.heads != widths.kv_heads:
        return SHARED_HEADS
    return FASTER_APART if any(is_int8(g, f"{path}.{part}") for part in PARTS) else ""


def _attention_with_weights(
    g: GraphBuilder, x: str, mask: str, widths: LayerWidths, path: str
) -> str:
    """Write the operator that makes Q, K and V itself, head by head, as its products need them."""
    weights = [g.array(f"{path}.{part}.weight", transposed=True) for part in PARTS]
    biases = [g.array(f"{path}.{part}.bias") for part in PARTS]
    merged = [
        g.real(f"{path}.qkv.weight", np.concatenate(weights, axis=1)),  # (in, 3 * out)
        g.real(f"{path}.qkv.bias", np.concatenate(biases)),
    ]
    context = _operator(g, "Attention", [x, *merged, mask], widths, path)
    g.gemms.update({f"{path}.{part}": context for part in PARTS})
    g.fusion("QKV", path, [context])
    return context


def _operator(
    g: GraphBuilder, operator: str, inputs: list[str], widths: LayerWidths, path: str
) -> str:
    attributes = {"num_heads": widths.heads, "mask_filter_value": MASKED}
    context = g.contrib(operator, inputs, f"{path}/attention", **attributes)
    g.fusion("attention", path, [context])
    return context
