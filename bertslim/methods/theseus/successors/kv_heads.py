"""`kv-heads=1`, `kv-heads=3`: query heads share keys and values (Shazeer 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import (
    Choices,
    Sharing,
    Successor,
    layers_named,
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
        if set(counts) == {self.kv_heads}:
            return [f"kv-heads={self.kv_heads} is what every layer has: ask for fewer"]
        wrong = {count for count in counts if count % self.kv_heads}
        return [
            f"kv-heads={self.kv_heads} does not divide the {count} key/value heads of "
            f"{layers_named([number for number, there in enumerate(counts) if there == count])}"
            for count in sorted(wrong)
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
