"""Named entities: an entity counts if its type and both its ends are right (CoNLL 2003)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.integer[Any]]
"""Per sentence: entities found, entities predicted, entities there are: (sentences, 3)."""

Span = tuple[str, int, int]
"""Type, first word, word after the last."""


def entities(tags: Sequence[str]) -> Iterator[Span]:
    """Yield the entities that BIO tags (BIO2 or the older IOB) delimit, as `conlleval` does.

    B- always begins an entity; I- begins one after O and after another type.
    """
    kind, first = "", 0
    for at, tag in enumerate([*tags, "O"]):
        prefix, _, tag_kind = tag.partition("-")
        if prefix == "I" and tag_kind == kind:
            continue
        if kind:
            yield kind, first, at
        kind, first = tag_kind, at


def span_counts(true: Sequence[str], predicted: Sequence[str]) -> tuple[int, int, int]:
    """Return how many entities of a sentence were found, were predicted, and there are."""
    there, said = set(entities(true)), set(entities(predicted))
    return len(there & said), len(said), len(there)


def span_f1(counts: Counts) -> float:
    """Return the F1 over all entities of all sentences; 0 where there are none at all."""
    found, said, there = counts.sum(axis=0)
    return float(2 * found / max(said + there, 1))


def span_precision(counts: Counts) -> float:
    """Return the share of predicted entities that are right."""
    found, said, _ = counts.sum(axis=0)
    return float(found / max(said, 1))


def span_recall(counts: Counts) -> float:
    """Return the share of entities that were found."""
    found, _, there = counts.sum(axis=0)
    return float(found / max(there, 1))
