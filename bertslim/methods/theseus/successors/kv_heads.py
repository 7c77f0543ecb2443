"""`kv-heads=1`, `kv-heads=3`: query heads share keys and values (Shazeer 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import (
    Choices,
    Sharing,
    Successor,
    layers_by,
    positive,
)

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.train.examples import Examples


@dataclass(frozen=True, slots=True)
class KvHeads:
    """So many key/value heads in every layer, each in the place of some."""

    kv_heads: int
    sharing: Sharing

    @classmethod
    def read(cls, value: str, choices: Choices) -> "KvHeads":
        """Read a number.

        Raises:
            ValueError: If it is none, or below 1.
        """
        return cls(positive("kv-heads", value), choices.sharing)

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Refuse groups of unequal size, and those of one head each."""
        from bertslim.model.configuration import layer_widths

        counts = [layer.kv_heads for layer in layer_widths(config)]
        # a layer may have lost all of its heads, and has nothing to share
        if set(counts) <= {self.kv_heads, 0}:
            return [f"kv-heads={self.kv_heads} is what every layer has: ask for fewer"]
        return [
            f"kv-heads={self.kv_heads} does not divide the {count} key/value heads of {where}"
            for count, where in sorted(layers_by(counts).items())
            if count % self.kv_heads
        ]

    def made(self, successor: Successor, learnt: "Examples") -> Successor:
        """Share in the way that was chosen."""
        from bertslim.methods.theseus.fitting import fit_kv_heads
        from bertslim.methods.theseus.likeness import like_heads_together
        from bertslim.methods.theseus.moments import input_moments
        from bertslim.model.sharing import align_heads, merge_kv_heads, reorder_heads

        model, count = successor.model, self.kv_heads
        if self.sharing == "fitted":
            fitted = fit_kv_heads(model, count, input_moments(model, learnt))
            return successor.with_model(fitted)
        if self.sharing == "similar":
            model = align_heads(reorder_heads(model, like_heads_together(model, count)), count)
        return successor.with_model(merge_kv_heads(model, count))
