"""Local attention in blocks: some neighbouring tokens attend to their surroundings together.

A mask over all scores hides what is outside a window, and computes it. In blocks the work grows
with the length, and not with its square: with r = window // 2, every `BLOCK` queries meet their own
keys, r more on each side, and that of the first token. The first token itself meets all keys. A
sequence that is not much longer than a block with its surroundings is one block.

Blocks lie one behind the other in the batch's dimension, so whatever computes an attention computes
theirs. Which token is where follows from the length of the batch at hand, once for each window.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bertslim.graph.blocks import Blocks, Projected
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.standard.attention import MASKED
from bertslim.graph.standard.operators import length
from bertslim.model.configuration import LayerWidths
from bertslim.model.windows import BLOCK, longest_whole, reach_of


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """Names of what all attentions of a window share; n blocks of b queries and k keys."""

    queries: str
    """Positions, (n * b)."""
    keys: str
    """Positions, (n * k), the first one of each block the first token's."""
    rows: str
    """Shape of a block's share of the queries, [-1, b]; the width is to follow."""
    columns: str
    """Likewise [-1, k]."""
    mask: str
    """Added to the scores, (batch * n, 1, b, k)."""


def neighbourhoods(
    g: GraphBuilder, padding: str, windows: Collection[int]
) -> dict[int, Neighbourhoods]:
    """Write what attentions in blocks need to know, once for each window.

    Args:
        g: Where to.
        padding: What tells padding from tokens, (batch, 1, 1, length).
        windows: Of any size.
    """
    return {window: _neighbourhood(g, padding, window) for window in sorted(set(windows))}


def attended_in_blocks(
    g: GraphBuilder,
    blocks: Blocks,
    parts: Projected,
    near: Neighbourhoods,
    padding: str,
    widths: LayerWidths,
    path: str,
) -> str:
    """Write the context of all heads side by side, (batch, length, heads * head_dim)."""
    q_width, kv_width = widths.heads * widths.head_dim, widths.kv_heads * widths.head_dim
    folded = Projected(
        _folded(g, parts.q, near.queries, near.rows, q_width, f"{path}.query"),
        _folded(g, parts.k, near.keys, near.columns, kv_width, f"{path}.key"),
        _folded(g, parts.v, near.keys, near.columns, kv_width, f"{path}.value"),
    )
    local = blocks.attended(g, folded, near.mask, widths, path, path)
    # (batch * n, b, width) -> (batch, n * b, width)
    batch = g.node("Shape", ["input_ids"], f"{path}/batch", start=0, end=1)
    shape = [batch, g.constant(f"rows_{q_width}", [-1, q_width])]
    unfolded = g.node("Concat", shape, f"{path}/unfolded_shape", axis=0)
    rows = g.node("Reshape", [local, unfolded], f"{path}/unfolded")
    ends = [g.constant("one_column", [1]), length(g, path), g.constant("axes_1", [1])]
    others = g.node("Slice", [rows, *ends], f"{path}/others")

    first = g.node("Gather", [parts.q, g.constant("first_row", [0])], f"{path}/first_query", axis=1)
    place = f"{path}/first_token"
    alone = blocks.attended(g, parts._replace(q=first), padding, widths, path, place)
    return g.node("Concat", [alone, others], f"{path}/joined", axis=1)


def _folded(g: GraphBuilder, x: str, positions: str, shape: str, width: int, path: str) -> str:
    """(batch, length, width) -> (batch * n, b or k, width)."""
    picked = g.node("Gather", [x, positions], f"{path}/picked", axis=1)
    target = [shape, g.constant(f"width_{width}", [width])]
    folded = g.node("Concat", target, f"{path}/folded_shape", axis=0)
    return g.node("Reshape", [picked, folded], f"{path}/folded")


def _neighbourhood(g: GraphBuilder, padding: str, window: int) -> Neighbourhoods:
    path, reach = f"attention_window_{window}", reach_of(window)
    end = g.node("Squeeze", [length(g, path)], f"{path}/end")
    size, halo = _block(g, end, window, path)
    last = g.node("Sub", [end, g.constant("step", 1)], f"{path}/last")
    q, near = _positions(g, end, size, halo, path)  # (n, b), (n, k - 1)
    queries = _flat(g, g.node("Min", [q, last], f"{path}/queries"))
    inside = g.node("Clip", [near, g.constant("zero", 0), last], f"{path}/inside")
    first = g.constant("first_column", [0, 1, 0, 0])
    all_keys = g.node("Pad", [inside, first], f"{path}/keys")  # a column of 0 in front
    keys = _flat(g, all_keys)
    hidden = _hidden(g, q, near, end, reach, path)
    mask = _mask(g, hidden, padding, keys, all_keys, path)
    one = g.constant("any_number", [-1])
    shapes = {}
    for name, positions in (("rows", q), ("columns", all_keys)):
        count = g.node("Shape", [positions], f"{path}/{name}_count", start=1, end=2)
        shapes[name] = g.node("Concat", [one, count], f"{path}/{name}_shape", axis=0)
    return Neighbourhoods(queries, keys, shapes["rows"], shapes["columns"], mask)


def _block(g: GraphBuilder, end: str, window: int, path: str) -> tuple[str, str]:
    """Return a block's size and how far it reaches beyond: all and 0 of a short sequence."""
    longest = g.constant(f"{path}.longest", longest_whole(window))
    short = g.node("LessOrEqual", [end, longest], f"{path}/short")
    usual = g.constant("block_size", BLOCK)
    size = g.node("Where", [short, end, usual], f"{path}/size")
    halo = [short, g.constant("zero", 0), g.constant(f"{path}.reach", reach_of(window))]
    return size, g.node("Where", halo, f"{path}/halo")


def _positions(g: GraphBuilder, end: str, size: str, halo: str, path: str) -> tuple[str, str]:
    """Return where each block's queries (n, b) and keys (n, b + 2 halo) are, outside as well."""
    zero, step = g.constant("zero", 0), g.constant("step", 1)
    beyond = g.node("Add", [end, size], f"{path}/beyond")
    stop = g.node("Sub", [beyond, step], f"{path}/stop")
    count = g.node("Div", [stop, size], f"{path}/count")  # rounded up
    number = g.node("Range", [zero, count, step], f"{path}/number")
    start = g.node("Mul", [number, size], f"{path}/start")
    column = g.node("Unsqueeze", [start, g.constant("axes_1", [1])], f"{path}/column")
    own = g.node("Range", [zero, size, step], f"{path}/own")
    before = g.node("Neg", [halo], f"{path}/before")
    after = g.node("Add", [size, halo], f"{path}/after")
    around = g.node("Range", [before, after, step], f"{path}/around")
    q = g.node("Add", [column, own], f"{path}/q")
    return q, g.node("Add", [column, around], f"{path}/near")


def _hidden(g: GraphBuilder, q: str, near: str, end: str, reach: int, path: str) -> str:
    """Whether |i - j| > r, or j is no token behind the first: bool (n, b, k - 1)."""
    i = g.node("Unsqueeze", [q, g.constant("axes_2", [2])], f"{path}/i")
    j = g.node("Unsqueeze", [near, g.constant("axes_1", [1])], f"{path}/j")
    distance = g.node("Abs", [g.node("Sub", [i, j], f"{path}/difference")], f"{path}/distance")
    far = g.node("Greater", [distance, g.constant(f"{path}.reach", reach)], f"{path}/far")
    before = g.node("Less", [j, g.constant("step", 1)], f"{path}/not_behind")
    behind = g.node("GreaterOrEqual", [j, end], f"{path}/too_late")
    none = g.node("Or", [before, behind], f"{path}/no_token")
    return g.node("Or", [far, none], f"{path}/hidden")


def _mask(g: GraphBuilder, hidden: str, padding: str, keys: str, all_keys: str, path: str) -> str:
    """What the scores need added: (batch * n, 1, b, k)."""
    values = [g.real("masked", MASKED, wide=True), g.real("unchanged", 0, wide=True)]
    others = g.node("Where", [hidden, *values], f"{path}/others")
    front = g.constant("first_of_three", [0, 0, 1, 0, 0, 0])
    band = g.node("Pad", [others, front], f"{path}/band")  # (n, b, k)
    picked = g.node("Gather", [padding, keys], f"{path}/padding", axis=3)  # (batch, 1, 1, n * k)
    counts = g.node("Shape", [all_keys], f"{path}/counts")
    unknown, one = g.constant("any_number", [-1]), g.constant("one_column", [1])
    shape = [unknown, g.node("Slice", [counts, g.constant("start", [0]), one], f"{path}/n"), one]
    k = g.node("Slice", [counts, one, g.constant("two", [2])], f"{path}/k")
    by_block = g.node("Concat", [*shape, k], f"{path}/by_block", axis=0)
    blocked = g.node("Reshape", [picked, by_block], f"{path}/blocked")  # (batch, n, 1, k)
    added = g.node("Add", [blocked, band], f"{path}/added")  # (batch, n, b, k)
    b = g.node("Shape", [band], f"{path}/b", start=1, end=2)
    flat = g.node("Concat", [unknown, one, b, k], f"{path}/flat", axis=0)
    return g.node("Reshape", [added, flat], f"{path}/mask")


def _flat(g: GraphBuilder, positions: str) -> str:
    return g.node("Reshape", [positions, g.constant("any_number", [-1])], f"{positions}/flat")
