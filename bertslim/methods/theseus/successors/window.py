"""`window=64`: tokens attend to their neighbours alone; the first token sees and is seen by all."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import Choices, Successor, positive

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.train.examples import Examples


@dataclass(frozen=True, slots=True)
class Window:
    """Local attention in every layer; the weights stay as they are."""

    window: int
    """Position i attends to j where |i - j| <= window // 2."""

    @classmethod
    def read(cls, value: str, _choices: Choices) -> "Window":
        """Read a number.

        Raises:
            ValueError: If it is none, or below 1.
        """
        return cls(positive("window", value))

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Refuse a window that hides nothing."""
        if self.window // 2 >= config.positions - 1:
            return [
                f"window={self.window} hides nothing in a model of {config.positions} positions"
            ]
        return []

    def made(self, successor: Successor, _learnt: "Examples") -> Successor:
        """Give every layer the window."""
        from bertslim.model.configuration import layer_widths, with_widths
        from bertslim.model.rebuilding import rebuilt

        model = successor.model
        widths = [replace(layer, window=self.window) for layer in layer_widths(model.config)]
        config = with_widths(model.config, widths)
        return successor.with_model(rebuilt(model, config, model.state_dict()))
