"""All attentions of an encoder, and the masks that they share."""

from bertslim.graph.blocks import Blocks
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.windows import attended_in_blocks, neighbourhoods
from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths
from bertslim.model.windows import longest_whole


class Attentions:
    """Writes attentions; what depends on the window alone is written once."""

    def __init__(
        self, g: GraphBuilder, dialect: Blocks, config: SlimBertConfig, *, first_token_only: bool
    ) -> None:
        self.g, self.dialect = g, dialect
        layers = layer_widths(config)
        # one query sees through every window, and needs no mask of its own
        whole = layers[:-1] if first_token_only else layers
        windows = {layer.window for layer in whole if layer.heads}
        may_cut = g.form.windows == "blocks"
        cut = {window for window in windows if may_cut and window and is_cut(window, config)}
        self.masks = dialect.masks(g, windows - cut)
        self.neighbourhoods = neighbourhoods(g, self.masks.row, cut)

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
        g, dialect, masks = self.g, self.dialect, self.masks
        parts = dialect.projected(g, x, memory, widths, path)
        if x != memory:
            # the first token sees through every window
            return dialect.attended(g, parts, masks.row, widths, path, path)
        if near := self.neighbourhoods.get(widths.window or 0):
            return attended_in_blocks(g, dialect, parts, near, widths, path)
        return dialect.attended(g, parts, masks.whole[widths.window], widths, path, path)


def is_cut(window: int, config: SlimBertConfig) -> bool:
    """Whether a sequence can be long enough for more than one block."""
    return longest_whole(window) < config.positions
