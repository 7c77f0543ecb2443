"""What a successor is, and what makes one: each kind of change in a file of its own."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples

Initialise = Literal["first", "last", "spread"]
Sharing = Literal["index", "similar", "fitted"]
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Choices:
    """How successors begin, where there is a choice."""

    initialise: Initialise
    """Which of the predecessor's layers the fewer ones are copies of."""
    sharing: Sharing
    """How heads come to share keys and values: neighbours the mean of theirs; heads that are alike,
    turned to each other, the mean; or neighbours what changes the attention least."""


@dataclass(frozen=True, slots=True, eq=False)
class Successor:
    """A cheaper model.

    Attributes:
        model: Its embeddings and head are those of the predecessor.
        replaces: For each of its layers, the neighbouring layers of the predecessor that it
            stands for: a module.
    """

    model: "SlimBertPreTrainedModel"
    replaces: tuple[tuple[int, ...], ...]

    def with_model(self, model: "SlimBertPreTrainedModel") -> "Successor":
        """Return the same modules with other layers."""
        return replace(self, model=model)


class Kind(Protocol):
    """One change on the way from predecessor to successor."""

    def faults(self, config: "SlimBertConfig") -> list[str]:
        """Say why a predecessor cannot be changed so."""

    def made(self, successor: Successor, learnt: "Examples") -> Successor:
        """Return the changed successor; what is scored is scored on examples to learn from."""


def positive(name: str, value: str) -> int:
    """Read a whole number from 1.

    Raises:
        ValueError: If it is none.
    """
    if not value.isdecimal() or int(value) == 0:
        raise ValueError(f"{name}={value} is not a whole number from 1")
    return int(value)


def layers_by(values: Sequence[Value]) -> dict[Value, str]:
    """Name the layers, for messages, that have a value in common.

    Args:
        values: Of each layer.
    """
    layers: dict[Value, list[int]] = {}
    for number, value in enumerate(values):
        layers.setdefault(value, []).append(number)
    return {value: layers_named(numbers) for value, numbers in layers.items()}


def layers_named(numbers: Sequence[int]) -> str:
    """Name some layers."""
    return f"layer{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
