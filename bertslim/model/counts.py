"""Numbers of weights, whatever kind of model they are of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Numbers of weights.

    Attributes:
        embedding: Tables, their norm, and the projection behind them.
        layers: Per encoder layer.
        head: Pooler and task head; a masked-LM decoder is the embedding table, counted there.
    """

    embedding: int
    layers: tuple[int, ...]
    head: int

    @property
    def encoder(self) -> int:
        """All layers together."""
        return sum(self.layers)

    @property
    def total(self) -> int:
        """Everything."""
        return self.embedding + self.encoder + self.head
