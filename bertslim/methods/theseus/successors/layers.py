"""`layers=1/2`, `layers=2+2+1+1`: fewer layers, each for some neighbouring ones."""

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from bertslim.methods.theseus.successors.successor import Choices, Initialise, Successor

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.train.examples import Examples


@dataclass(frozen=True, slots=True)
class Layers:
    """Groups of the predecessor's layers become one layer each."""

    each: int
    """Size of all groups; 0 where they are listed."""
    listed: tuple[int, ...]
    """Size of every group, first group first."""
    initialise: Initialise

    @classmethod
    def read(cls, value: str, choices: Choices) -> "Layers":
        """Read `1/2` or `2+2+1+1`.

        Raises:
            ValueError: If it is neither.
        """
        if share := re.fullmatch(r"1/([1-9]\d*)", value):
            return cls(int(share[1]), (), choices.initialise)
        if re.fullmatch(r"[1-9]\d*(\+[1-9]\d*)+", value):
            return cls(0, tuple(map(int, value.split("+"))), choices.initialise)
        raise ValueError(
            f"layers={value} is neither a share such as 1/2 nor a sum of groups such as 2+2+1+1"
        )

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Refuse groups that do not cover the layers, and those of one layer each."""
        count = config.num_hidden_layers
        if set(self.listed or (self.each,)) == {1}:
            return ["layers in groups of one are the predecessor's own: make a group larger"]
        if self.each and count % self.each:
            return [f"layers=1/{self.each} does not divide {count} layers"]
        if not self.each and sum(self.listed) != count:
            text = "+".join(map(str, self.listed))
            return [f"layers={text} covers {sum(self.listed)} layers, and there are {count}"]
        return []

    def made(self, successor: Successor, _learnt: "Examples") -> Successor:
        """Keep a layer for each group."""
        from bertslim.model.surgery import keep_layers

        count = len(successor.replaces)
        groups = self.groups(count)
        kept = {
            "first": range(len(groups)),
            "last": range(count - len(groups), count),
            "spread": [group[0] for group in groups],
        }
        return Successor(keep_layers(successor.model, kept[self.initialise]), groups)

    def groups(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Return which layers stand together."""
        sizes = self.listed or (self.each,) * (count // self.each)
        ends = accumulate(sizes)
        return tuple(tuple(range(end - size, end)) for end, size in zip(ends, sizes, strict=True))
