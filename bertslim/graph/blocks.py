"""What an encoder is assembled from; each dialect writes the same blocks in its own operators."""

from collections.abc import Collection, Mapping
from typing import Protocol

from bertslim.graph.nodes import GraphBuilder
from bertslim.model.configuration import LayerWidths, SlimBertConfig

Masks = Mapping[int | None, str]
"""What tells an attention which tokens to leave out, by its window."""


class Blocks(Protocol):
    """The vocabulary of a dialect; tensors are (batch, length, width) where unsaid.

    A module of functions is one. `path` is always the path of the module that is written.
    """

    def embeddings(self, g: GraphBuilder, config: SlimBertConfig, path: str) -> str:
        """Words + positions (+ token types), normalised, projected where the encoder is wider."""
        ...

    def rows(self, g: GraphBuilder, path: str, ids: str) -> str:
        """Return rows by id, (..., width), of a table that may be int8, a scale for each row."""
        ...

    def masks(self, g: GraphBuilder, windows: Collection[int | None]) -> Masks:
        """Write what the attentions need to leave out padding, once for each window."""
        ...

    def attention(
        self, g: GraphBuilder, x: str, memory: str, mask: str, widths: LayerWidths, path: str
    ) -> str:
        """Return the context of all heads side by side, (batch, targets, heads * head_dim).

        Args:
            g: Where to.
            x: (batch, targets, hidden), what attends.
            memory: (batch, length, hidden), what is attended to.
            mask: One of `masks`.
            widths: Of the layer, with at least one head.
            path: Of the attention.
        """
        ...

    def linear(self, g: GraphBuilder, x: str, path: str, *, scale: float = 1.0) -> str:
        """Return scale * (x W^T + b)."""
        ...

    def activated(self, g: GraphBuilder, x: str, path: str, function: str, name: str) -> str:
        """Return f(x W^T + b); `name` is the path of the activation."""
        ...

    def lstm(self, g: GraphBuilder, x: str, hidden: int, path: str) -> str:
        """Return the states of both directions, (length, directions, batch, hidden).

        Args:
            g: Where to.
            x: (length, batch, inputs), 0 at padding.
            hidden: Channels of a direction.
            path: Of the LSTM.
        """
        ...

    def added_and_normed(
        self, g: GraphBuilder, x: str | None, path: str, residual: str, norm: str, epsilon: float
    ) -> str:
        """Return norm(residual + x W^T + b); without `x` only b is added."""
        ...
