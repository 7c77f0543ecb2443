"""The little language of `--student`: layers=3, layers=0,2,4 or hidden=192,heads=6,ffn=768."""

from dataclasses import dataclass
from typing import Literal, get_args

from bertslim.errors import given_twice

Rule = Literal["spread", "skip", "first", "last"]
SIZES = ("hidden", "heads", "ffn")


@dataclass(frozen=True, slots=True)
class Layers:
    """Some of a model's layers, by rule."""

    rule: Rule
    """`spread`: DistilBERT's choice, evenly from the first to the last. `skip`: PKD's, the last of
    each of `count` equal runs. `first`, `last`: neighbours at one end."""
    count: int

    def of(self, depth: int) -> tuple[int, ...]:
        """Return the numbers of the chosen layers of `depth`, from 0."""
        k, n = self.count, depth
        match self.rule:
            case "spread":
                return tuple(round(i * (n - 1) / max(1, k - 1)) for i in range(k))
            case "skip":
                return tuple(round((i + 1) * n / k) - 1 for i in range(k))
            case "first":
                return tuple(range(k))
            case "last":
                return tuple(range(n - k, n))


@dataclass(frozen=True, slots=True)
class StudentShape:
    """What becomes of a model's shape; None leaves a part as it is."""

    layers: Layers | tuple[int, ...] | None
    """Which layers are kept, by rule or by number."""
    hidden: int | None
    """Channels of the hidden states."""
    heads: int | None
    """Attention heads of each layer."""
    ffn: int | None
    """Units of each feed-forward part."""


def shape_faults(text: str) -> list[str]:
    """Return everything that is wrong with what `--student` says."""
    parts = _parts(text)
    faults = given_twice(name for name, _ in parts)
    faults += [fault for name, values in parts if (fault := _fault(name, values))]
    return [f"--student {text}: {fault}" for fault in faults]


def parse_shape(text: str) -> StudentShape:
    """Read what `--student` says; `shape_faults` has found nothing wrong with it."""
    given = dict(_parts(text))
    sizes = {name: int(given[name][0]) if name in given else None for name in SIZES}
    return StudentShape(_layers(given.get("layers")), **sizes)


def _parts(text: str) -> list[tuple[str, list[str]]]:
    """Cut at commas; a word without a name belongs to the name before it."""
    parts: list[tuple[str, list[str]]] = []
    for word in text.split(","):
        name, named, value = word.strip().partition("=")
        if named or not parts:
            parts.append((name, [value] if named else []))
        else:
            parts[-1][1].append(name)
    return parts


def _fault(name: str, values: list[str]) -> str:
    """Return what is wrong with one part, or ""."""
    if name not in ("layers", *SIZES):
        return f"{name or 'nothing'} is none of layers, {', '.join(SIZES)}"
    if name == "layers" and len(values) > 1:
        given = f"layers={','.join(values)}"
        if wrong := [value for value in values if not value.isdecimal()]:
            return f"{given}: {wrong[0]!r} is no layer's number"
        numbers = list(map(int, values))
        rising = numbers == sorted(set(numbers))
        return "" if rising else f"{given}: layers stay in their order, each of them once"
    value = values[0] if len(values) == 1 else ",".join(values)
    count = value
    if name == "layers":
        rule, _, behind = value.rpartition("-")
        count = behind if rule in ("", *_rules()) and not value.startswith("-") else ""
    fine = count.isdecimal() and int(count) > 0
    return "" if fine else f"{name}={value}: not a number above 0"


def _layers(values: list[str] | None) -> Layers | tuple[int, ...] | None:
    if values is None:
        return None
    if len(values) > 1:
        return tuple(map(int, values))
    name, _, count = values[0].rpartition("-")
    rule: Rule = next((rule for rule in _rules() if rule == name), "spread")
    return Layers(rule, int(count))


def _rules() -> tuple[Rule, ...]:
    return get_args(Rule)
