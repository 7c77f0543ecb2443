"""The little language of `--student` for recurrent students: bilstm,hidden=150,embedding=300."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

from bertslim.errors import SettingsError, given_twice

RecurrentKind = Literal["bilstm", "cnn-lstm", "attentive-lstm"]
TABLES = ("teacher", "random")
"""What `--embeddings` can be besides a file."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a recurrent student; 0 leaves a part out where that can be."""

    hidden: int
    """Channels of each direction."""
    layers: int
    embedding: int
    """Channels of a word's vector."""
    filters: int
    """Answers to a word's letters; 0: words are not spelt."""
    head: int
    """Units in front of the classifier; 0: there are none."""
    words: int
    """Most words of a vocabulary of the data's own; 0: the pieces that the input knows."""
    crf: int
    """1: the tags of a sentence are chosen together, by a CRF."""


PRESETS: Mapping[RecurrentKind, Sizes] = {
    # Tang et al. 2019, SST-2 and MNLI
    "bilstm": Sizes(hidden=150, layers=1, embedding=300, filters=0, head=200, words=0, crf=0),
    # Izsak et al. 2019, by their code
    "cnn-lstm": Sizes(hidden=100, layers=2, embedding=100, filters=128, head=0, words=0, crf=0),
    # Liu et al. 2019 publish no sizes: those of Tang
    "attentive-lstm": Sizes(
        hidden=150, layers=1, embedding=300, filters=0, head=200, words=0, crf=0
    ),
}
KINDS: Mapping[RecurrentKind, tuple[str, ...]] = {
    "bilstm": ("text-classification", "text-regression", "token-classification"),
    "cnn-lstm": ("token-classification",),
    "attentive-lstm": ("text-classification", "text-regression"),
}
"""The kinds of task that each is for."""
TAGGED = "token-classification"
NAMES = tuple(field.name for field in fields(Sizes))
MAY_BE_0 = ("filters", "head", "words", "crf")


@dataclass(frozen=True, slots=True)
class RecurrentShape:
    """A student that is built anew."""

    kind: RecurrentKind
    sizes: Sizes
    named: tuple[str, ...]
    """Which sizes were asked for, and are no defaults."""
    table: str
    """Where the vectors of words begin: `teacher`, `random` or `file`."""


def names_recurrent(text: str) -> bool:
    """Whether `--student` begins with the name of a recurrent student."""
    return text.split(",")[0].strip() in get_args(RecurrentKind)


def recurrent_faults(text: str) -> list[str]:
    """Return everything that is wrong with what `--student` says of a recurrent student."""
    parts = [part.strip() for part in text.split(",")[1:]]
    faults = given_twice(part.partition("=")[0] for part in parts)
    faults += [fault for part in parts if (fault := _fault(part))]
    return [f"--student {text}: {fault}" for fault in faults]


def parse_recurrent(text: str, embeddings: str) -> RecurrentShape:
    """Read what `--student` and `--embeddings` say; nothing is wrong with it."""
    kind = next(k for k in get_args(RecurrentKind) if k == text.split(",")[0].strip())
    parts = (part.strip().partition("=") for part in text.split(",")[1:])
    given = {name: int(value) for name, _, value in parts}
    sizes = {name: given.get(name, getattr(PRESETS[kind], name)) for name in NAMES}
    table = embeddings if embeddings in TABLES else "file"
    return RecurrentShape(kind, Sizes(**sizes), tuple(sorted(given)), table)


def refuse_other_tasks(shape: RecurrentShape, kind: str) -> None:
    """Refuse a student for a kind of task that it is not made for.

    Raises:
        SettingsError: If it is.
    """
    if kind not in KINDS[shape.kind]:
        own = " and ".join(KINDS[shape.kind])
        others = " or ".join(name for name, kinds in KINDS.items() if kind in kinds)
        raise SettingsError(
            f"--student {shape.kind} is for {own}, and the task is {kind}",
            f"take {others}" if others else "recurrent students classify texts and tokens",
        )
    if shape.sizes.crf and kind != TAGGED:
        raise SettingsError(
            f"--student {shape.kind},crf=1: a CRF is over tags, and the task is {kind}",
            "leave crf= out",
        )


def _fault(part: str) -> str:
    """Return what is wrong with NAME=N, or ""."""
    name, _, value = part.partition("=")
    if name not in NAMES:
        return f"{name or 'nothing'} is none of {', '.join(NAMES)}"
    least = 0 if name in MAY_BE_0 else 1
    if not value.isdecimal() or int(value) < least:
        return f"{part}: not a number of {least} or more"
    if name == "crf" and int(value) > 1:
        return f"{part}: 1 is a CRF, 0 is none"
    return ""
