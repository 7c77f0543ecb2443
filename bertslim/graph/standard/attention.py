"""Self-attention as ONNX nodes, in the form that every runtime turns into one fused kernel."""

from collections.abc import Collection

from bertslim.graph.blocks import Masks, Projected
from bertslim.graph.nodes import BOOL, FLOAT, GraphBuilder
from bertslim.graph.standard.integers import quantized
from bertslim.graph.standard.linear import linear
from bertslim.graph.standard.operators import length
from bertslim.model.configuration import LayerWidths
from bertslim.model.quantization import PROBABILITIES

PARTS = ("query", "key", "value")

MASKED = -30000.0
"""Added to a score that must not count: exp gives 0, and two of them still fit into fp16."""


def masks(g: GraphBuilder, windows: Collection[int | None]) -> Masks:
    """Write what the scores need added, (batch, 1, 1 or length, length), once for each window."""
    full = padding_mask(g)
    whole: dict[int | None, str] = {None: full} if None in windows else {}
    for window in sorted({w for w in windows if w is not None}):
        path = f"attention_window_{window}"
        whole[window] = g.node("Add", [full, window_mask(g, window, path)], f"{path}/add")
    return Masks(full, whole)


def padding_mask(g: GraphBuilder) -> str:
    """0 for tokens, MASKED for padding: (batch, 1, 1, length), fp32 in any graph."""
    real = g.node("Cast", ["attention_mask"], "attention_mask/real", to=FLOAT)
    # (real - 1) * -MASKED
    one, factor = g.real("one", 1, wide=True), g.real("unmasked", -MASKED, wide=True)
    absent = g.node("Sub", [real, one], "attention_mask/absent")
    added = g.node("Mul", [absent, factor], "attention_mask/added")
    return g.node("Unsqueeze", [added, g.constant("axes_1_2", [1, 2])], "attention_mask/mask")


def window_mask(g: GraphBuilder, window: int, path: str) -> str:
    """MASKED outside the window, 0 inside: (length, length)."""
    values = [g.real("masked", MASKED, wide=True), g.real("unchanged", 0, wide=True)]
    return g.node("Where", [outside_window(g, window, path), *values], f"{path}/mask")


def outside_window(g: GraphBuilder, window: int, path: str) -> str:
    """Whether |i - j| > window // 2, but for i = 0 and j = 0: bool (length, length)."""
    end = g.node("Squeeze", [length(g, path)], f"{path}/end")
    row = g.node("Range", [g.constant("zero", 0), end, g.constant("step", 1)], f"{path}/row")
    column = g.node("Unsqueeze", [row, g.constant("axes_1", [1])], f"{path}/column")
    difference = g.node("Sub", [column, row], f"{path}/difference")
    distance = g.node("Abs", [difference], f"{path}/distance")
    reach = g.constant(f"{path}.reach", window // 2)
    far = g.node("Greater", [distance, reach], f"{path}/far")
    # i * j is 0 only where one of the two is the first token
    product = g.node("Mul", [column, row], f"{path}/product")
    not_first = g.node("Cast", [product], f"{path}/not_first", to=BOOL)
    return g.node("And", [far, not_first], f"{path}/masked")


def projected(g: GraphBuilder, x: str, memory: str, widths: LayerWidths, path: str) -> Projected:
    """Write queries, keys and values.

    They stay separate products: TensorRT merges them by itself, a merged one loses its int8
    kernels, and OpenVINO's time is the same either way. 1 / sqrt(d) is multiplied into the query's
    weights. Where the products inside the attention are int8, all is rounded here, once, whoever
    shares it: of two roundings behind one linear layer OpenVINO makes two linear layers.
    """
    q = linear(g, x, f"{path}.query", scale=widths.head_dim**-0.5)
    k, v = (linear(g, memory, f"{path}.{part}") for part in PARTS[1:])
    if x == memory:
        g.fusion("QKV", path, [g.gemms[f"{path}.{part}"] for part in PARTS])
    rounded = (
        product_input(g, x, f"{path}.{part}", path)
        for x, part in zip((q, k, v), PARTS, strict=True)
    )
    return Projected(*rounded)


def attended(
    g: GraphBuilder, parts: Projected, mask: str, widths: LayerWidths, path: str, place: str
) -> str:
    """Write softmax(Q K^T / sqrt(d) + mask) V: (batch, targets, heads * head_dim).

    Mask and softmax are fp32 in any graph.
    """
    heads = (widths.heads, widths.kv_heads, widths.kv_heads)
    q, k, v = (
        split_heads(g, x, count, widths, f"{place}.{part}")
        for x, count, part in zip(parts, heads, PARTS, strict=True)
    )
    # a step of its own, and the last: OpenVINO's product then turns K itself, which makes int8 2 %
    # faster, and 4 % with the products in int8
    k = g.node("Transpose", [k], f"{place}.key/columns", perm=(0, 1, 3, 2))

    scores = g.node("MatMul", [q, k], f"{place}/scores")
    masked = g.node("Add", [g.in_fp32(scores), mask], f"{place}/masked")
    softmax = g.node("Softmax", [masked], f"{place}/softmax", axis=-1)
    probabilities = g.in_floats(softmax)
    if products_are_int8(g, path):
        probabilities = quantized(g, probabilities, PROBABILITIES)
    context = g.node("MatMul", [probabilities, v], f"{place}/context")
    g.fusion("attention", place, [scores, masked, softmax, context])

    rows = g.node("Transpose", [context], f"{place}/rows", perm=(0, 2, 1, 3))
    width = widths.heads * widths.head_dim
    merged_shape = g.constant(f"merge_{width}", [0, 0, width])
    return g.node("Reshape", [rows, merged_shape], f"{place}/merged")


def products_are_int8(g: GraphBuilder, path: str) -> bool:
    """Whether both products inside an attention compute in int8: all three ranges are known."""
    products = g.form.quantization.products if g.form.quantization else {}
    return all(f"{path}.{part}" in products for part in PARTS)


def product_input(g: GraphBuilder, x: str, part: str, path: str) -> str:
    """Round queries, keys or values where the products inside the attention are int8."""
    if g.form.quantization is None or not products_are_int8(g, path):
        return g.in_floats(x)
    return quantized(g, x, g.form.quantization.products[part])


def split_heads(g: GraphBuilder, x: str, heads: int, widths: LayerWidths, path: str) -> str:
    """Turn (batch, length, heads * head_dim) into (batch, heads, length, head_dim).

    K/V heads that several query heads share are repeated.
    """
    shape = g.constant(f"split_{heads}_{widths.head_dim}", [0, 0, heads, widths.head_dim])
    split = g.node("Reshape", [x, shape], f"{path}/split")
    x = g.node("Transpose", [split], f"{path}/heads", perm=(0, 2, 1, 3))
    return x if heads == widths.heads else repeat_heads(g, x, widths, path)


def repeat_heads(g: GraphBuilder, x: str, widths: LayerWidths, path: str) -> str:
    """Repeat each K/V head for its group of query heads: head k serves k * group ... + group - 1.

    Expand, and not a broadcasting product: TensorRT fuses the former only.
    """
    group = widths.heads // widths.kv_heads
    apart = g.node("Unsqueeze", [x, g.constant("axes_2", [2])], f"{path}/apart")
    times = g.constant(f"repeat_{group}", [1, 1, group, 1, 1])
    copies = g.node("Expand", [apart, times], f"{path}/copies")
    sizes = [0, widths.heads, -1, widths.head_dim]
    shape = g.constant(f"repeated_{widths.heads}_{widths.head_dim}", sizes)
    return g.node("Reshape", [copies, shape], f"{path}/repeated")
