"""`window=64`, `window=64+64+full`: tokens attend to their neighbours alone.

The first token sees all and is seen by all, whatever the window.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import (
    Choices,
    Successor,
    layers_named,
    positive,
)

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.train.examples import Examples

FULL = "full"
"""A layer that attends to all."""


@dataclass(frozen=True, slots=True)
class Window:
    """Local attention, in every layer or in some; the weights stay as they are."""

    listed: tuple[int | None, ...]
    """One for all layers, or one for each; in a window of W position i attends to j where
    |i - j| <= W // 2, and without one to all."""

    @classmethod
    def read(cls, value: str, _choices: Choices) -> "Window":
        """Read `64` or `64+64+full`.

        Raises:
            ValueError: If it is neither, a window is below 1, or there is none.
        """
        words = value.split("+")
        listed = tuple(None if word == FULL else positive("window", word) for word in words)
        if not any(listed):
            raise ValueError(f"window={value} asks for no window: give some layers a number")
        return cls(listed)

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Refuse windows that hide nothing, wider ones, and too many or too few."""
        from bertslim.model.configuration import layer_widths
        from bertslim.model.windows import reach_of

        there = [layer.window for layer in layer_widths(config)]
        if len(self.listed) not in {1, len(there)}:
            text = "+".join(str(window or FULL) for window in self.listed)
            return [f"window={text} covers {len(self.listed)} layers, and there are {len(there)}"]
        faults = [
            f"window={window} hides nothing in a model of {config.positions} positions"
            for window in sorted({window for window in self.listed if window})
            if reach_of(window) >= config.positions - 1
        ]
        before, after = (
            [reach_of(window) if window else inf for window in windows]
            for windows in (there, self.by_layer(len(there)))
        )
        farther = [n for n, (b, a) in enumerate(zip(before, after, strict=True)) if a > b]
        if farther:
            faults.append(f"{layers_named(farther)} would see farther than in the predecessor")
        elif before == after:
            faults.append("the windows are those that every layer has: ask for narrower ones")
        return faults

    def made(self, successor: Successor, _learnt: "Examples") -> Successor:
        """Give the layers their windows."""
        from bertslim.model.configuration import layer_widths, with_widths
        from bertslim.model.rebuilding import rebuilt

        model = successor.model
        layers = layer_widths(model.config)
        windows = self.by_layer(len(layers))
        widths = [replace(w, window=window) for w, window in zip(layers, windows, strict=True)]
        config = with_widths(model.config, widths)
        return successor.with_model(rebuilt(model, config, model.state_dict()))

    def by_layer(self, count: int) -> tuple[int | None, ...]:
        """Return the window of each layer."""
        return self.listed * count if len(self.listed) == 1 else self.listed
