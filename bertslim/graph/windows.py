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
    """Positions, (n, b)."""
    keys: str
    """Positions, (n, k), the first of each block that of the first token."""
    mask: str
    """Added to the scores, (batch * n, 1, b, k)."""
    row: str
    """Added to those of the first token, (batch, 1, 1, length)."""


def neighbourhoods(
    g: GraphBuilder, padding: str, windows: Collection[int]
) -> dict[int, Neighbourhoods]:
    """Write what attentions in blocks need to know, once for each window.

    Args:
        g: Where to.
        padding: What tells padding from tokens, (batch, 1, 1, length).
        windows: Of any size.
    """
    return {window: _neighbourhoods(g, padding, window) for window in sorted(windows)}


def attended_in_blocks(
    g: GraphBuilder,
    dialect: Blocks,
    parts: Projected,
    near: Neighbourhoods,
    widths: LayerWidths,
    path: str,
) -> str:
    """Write the context of all heads side by side, (batch, length, heads * head_dim)."""
    q_width, kv_width = widths.heads * widths.head_dim, widths.kv_heads * widths.head_dim
    folded = Projected(
        _folded(g, parts.q, near.queries, q_width, f"{path}.query"),
        _folded(g, parts.k, near.keys, kv_width, f"{path}.key"),
        _folded(g, parts.v, near.keys, kv_width, f"{path}.value"),
    )
    local = dialect.attended(g, folded, near.mask, widths, path, path)
    first = g.node("Gather", [parts.q, g.constant("first_row", [0])], f"{path}/first_query", axis=1)
    place = f"{path}/first_token"
    alone = dialect.attended(g, parts._replace(q=first), near.row, widths, path, place)
    others = _unfolded(g, local, q_width, path)
    return g.node("Concat", [alone, others], f"{path}/joined", axis=1)


def _folded(g: GraphBuilder, x: str, positions: str, width: int, path: str) -> str:
    """(batch, length, width) -> (batch * n, b or k, width)."""
    picked = g.node("Gather", [x, positions], f"{path}/picked", axis=1)
    flat = g.node("Flatten", [picked], f"{path}/flat", axis=2)
    shape = g.constant(f"rows_{width}", [0, -1, width])
    return g.node("Reshape", [flat, shape], f"{path}/folded")


def _unfolded(g: GraphBuilder, x: str, width: int, path: str) -> str:
    """(batch * n, b, width) -> (batch, length - 1, width), all tokens but the first."""
    batch = g.node("Shape", ["input_ids"], f"{path}/batch", start=0, end=1)
    rows = [batch, g.constant(f"columns_{width}", [-1, width])]
    shape = g.node("Concat", rows, f"{path}/unfolded_shape", axis=0)
    unfolded = g.node("Reshape", [x, shape], f"{path}/unfolded")
    second, axis = g.constant("one_column", [1]), g.constant("axes_1", [1])
    return g.node("Slice", [unfolded, second, length(g, path), axis], f"{path}/others")


def _neighbourhoods(g: GraphBuilder, padding: str, window: int) -> Neighbourhoods:
    path = f"attention_window_{window}"
    end = g.node("Squeeze", [length(g, path)], f"{path}/end")
    i, j = _positions(g, end, window, path)  # (n, b), (n, k - 1)
    last = g.node("Sub", [end, g.constant("step", 1)], f"{path}/last")
    queries = g.node("Min", [i, last], f"{path}/queries")
    inside = g.node("Clip", [j, g.constant("zero", 0), last], f"{path}/inside")
    # a column of 0 in front: the first token
    keys = g.node("Pad", [inside, g.constant("pad_2", [0, 1, 0, 0])], f"{path}/keys")
    hidden = _hidden(g, i, j, end, reach_of(window), path)
    return Neighbourhoods(queries, keys, _mask(g, hidden, padding, keys, path), padding)


def _positions(g: GraphBuilder, end: str, window: int, path: str) -> tuple[str, str]:
    """Return where each block's queries (n, b) and keys (n, k - 1) are, outside as well."""
    zero, step = g.constant("zero", 0), g.constant("step", 1)
    size, halo = _block(g, end, window, path)
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
    i = g.node("Add", [column, own], f"{path}/i")
    return i, g.node("Add", [column, around], f"{path}/j")


def _block(g: GraphBuilder, end: str, window: int, path: str) -> tuple[str, str]:
    """Return a block's size and how far it reaches beyond: all and 0 of a short sequence."""
    longest = g.constant(f"{path}.longest", longest_whole(window))
    short = g.node("LessOrEqual", [end, longest], f"{path}/short")
    size = g.node("Where", [short, end, g.constant("block_size", BLOCK)], f"{path}/size")
    reach = g.constant(f"{path}.reach", reach_of(window))
    return size, g.node("Where", [short, g.constant("zero", 0), reach], f"{path}/halo")


def _hidden(g: GraphBuilder, i: str, j: str, end: str, reach: int, path: str) -> str:
    """Whether |i - j| > r, or j is no token behind the first: bool (n, b, k - 1)."""
    rows = g.node("Unsqueeze", [i, g.constant("axes_2", [2])], f"{path}/rows")
    columns = g.node("Unsqueeze", [j, g.constant("axes_1", [1])], f"{path}/columns")
    difference = g.node("Sub", [rows, columns], f"{path}/difference")
    distance = g.node("Abs", [difference], f"{path}/distance")
    far = g.node("Greater", [distance, g.constant(f"{path}.reach", reach)], f"{path}/far")
    early = g.node("Less", [columns, g.constant("step", 1)], f"{path}/early")
    late = g.node("GreaterOrEqual", [columns, end], f"{path}/late")
    none = g.node("Or", [early, late], f"{path}/none")
    return g.node("Or", [far, none], f"{path}/hidden")


def _mask(g: GraphBuilder, hidden: str, padding: str, keys: str, path: str) -> str:
    """What the scores need added: (batch * n, 1, b, k)."""
    values = [g.real("masked", MASKED, wide=True), g.real("unchanged", 0, wide=True)]
    others = g.node("Where", [hidden, *values], f"{path}/others")
    front = g.constant("pad_3", [0, 0, 1, 0, 0, 0])
    band = g.node("Pad", [others, front], f"{path}/band")  # (n, b, k)
    picked = g.node("Gather", [padding, keys], f"{path}/picked", axis=3)  # (batch, 1, 1, n, k)
    by_block = g.node("Squeeze", [picked, g.constant("axes_1_2", [1, 2])], f"{path}/by_block")
    absent = g.node("Unsqueeze", [by_block, g.constant("axes_2", [2])], f"{path}/absent")
    added = g.node("Add", [absent, band], f"{path}/added")  # (batch, n, b, k)
    sizes = g.node("Shape", [added], f"{path}/sizes", start=2)  # b, k
    shape = g.node("Concat", [g.constant("merged", [-1, 1]), sizes], f"{path}/shape", axis=0)
    return g.node("Reshape", [added, shape], f"{path}/mask")
