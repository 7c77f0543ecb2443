"""All attentions of an encoder, and the masks that they share."""

from collections.abc import Sequence

from bertslim.graph.blocks import Blocks
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.windows import attended_in_blocks, neighbourhoods
from bertslim.model.configuration import LayerWidths


class Attentions:
    """Writes attentions; what depends on the window alone is written once."""

    def __init__(self, g: GraphBuilder, blocks: Blocks, windows: Sequence[int | None]) -> None:
        self.g, self.blocks = g, blocks
        local = {w for w in windows if w is not None} if g.form.windows == "blocks" else set()
        self.masks = blocks.masks(g, [window for window in windows if window not in local])
        self.neighbourhoods = neighbourhoods(g, self.masks.row, local)

    def context(self, x: str, memory: str, widths: LayerWidths, path: str) -> str | None:
        """Write what all heads find, side by side, (batch, targets, heads * head_dim).

        Args:
            x: (batch, targets, hidden), what attends: all of `memory`, or its first token.
            memory: (batch, length, hidden), what is attended to.
            widths: Of the layer; without heads nothing is found, which is None.
            path: Of the attention.
        """
        if not widths.heads:
            return None
        g, blocks, masks = self.g, self.blocks, self.masks
        parts = blocks.projected(g, x, memory, widths, path)
        if x != memory:
            # the first token sees through every window
            return blocks.attended(g, parts, masks.row, widths, path, path)
        if near := self.neighbourhoods.get(widths.window or 0):
            return attended_in_blocks(g, blocks, parts, near, masks.row, widths, path)
        return blocks.attended(g, parts, masks.whole[widths.window], widths, path, path)
