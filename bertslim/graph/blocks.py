"""What an encoder is assembled from; each dialect writes the same blocks in its own operators."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bertslim.graph.nodes import GraphBuilder
from bertslim.model.configuration import LayerWidths, SlimBertConfig


class Projected(NamedTuple):
    """What an attention multiplies, all heads side by side."""

    q: str
    """(batch, targets, heads * head_dim)."""
    k: str
    """(batch, length, kv_heads * head_dim), like `v`."""
    v: str


@dataclass(frozen=True, slots=True)
class Masks:
    """What tells attentions which tokens to leave out, added to scores."""

    row: str
    """For one query of a sequence, that sees through every window: (batch, 1, 1, length)."""
    whole: Mapping[int | None, str]
    """For all queries, by window, (batch, 1, 1 or length, length)."""


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

    def projected(
        self, g: GraphBuilder, x: str, memory: str, widths: LayerWidths, path: str
    ) -> Projected:
        """Return queries of `x` (batch, targets, hidden), keys and values of `memory`.

        Args:
            g: Where to.
            x: What attends.
            memory: (batch, length, hidden), what is attended to.
            widths: Of the layer, with at least one head.
            path: Of the attention.
        """
        ...

    def attended(
        self,
        g: GraphBuilder,
        parts: Projected,
        mask: str,
        widths: LayerWidths,
        path: str,
        place: str,
    ) -> str:
        """Return the context of all heads side by side, (batch, targets, heads * head_dim).

        Args:
            g: Where to.
            parts: What is multiplied.
            mask: Added to the scores, (batch, 1, targets, length).
            widths: Of the layer.
            path: Of the attention.
            place: What the nodes are named after: the path, unless they are several attentions.
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
