"""`ffn=768`: narrower feed-forward parts, of the units that matter most."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import (
    Choices,
    Successor,
    layers_by,
    positive,
)

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.train.examples import Examples


@dataclass(frozen=True, slots=True)
class Ffn:
    """So many units in every layer."""

    units: int

    @classmethod
    def read(cls, value: str, _choices: Choices) -> "Ffn":
        """Read a number.

        Raises:
            ValueError: If it is none, or below 1.
        """
        return cls(positive("ffn", value))

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Refuse more units than there are, or as many."""
        from bertslim.model.configuration import layer_widths

        widths = [layer.intermediate_size for layer in layer_widths(config)]
        if set(widths) == {self.units}:
            return [f"ffn={self.units} is what every layer has: ask for fewer"]
        return [
            f"ffn={self.units} is more than the {width} units of {where}"
            for width, where in sorted(layers_by(widths).items())
            if width < self.units
        ]

    def made(self, successor: Successor, learnt: "Examples") -> Successor:
        """Keep the most important units of each layer."""
        from bertslim.methods.theseus.importance import unit_importance
        from bertslim.model.surgery import remove_ffn_units

        scores = unit_importance(successor.model, learnt)
        gone = {
            number: layer.argsort(descending=True, stable=True)[self.units :].tolist()
            for number, layer in enumerate(scores)
        }
        return successor.with_model(remove_ffn_units(successor.model, gone))
