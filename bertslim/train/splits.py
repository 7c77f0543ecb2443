"""A slice of the training data to select by, so that the reported set is never selected on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from bertslim.console import warn
from bertslim.errors import DataError

SHARE = 10
"""One row in ten is held out,"""
MOST = 1000
"""but never more than this,"""
LEAST = 32
"""and of small sets at least this many, if that leaves three quarters to train on."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """What a run does with the training data of its task."""

    labelled: Dataset
    """What is learnt from,"""
    unlabelled: Dataset | None
    """more of it, whose labels count as unknown,"""
    to_choose: Dataset
    """and what the epoch is chosen by."""


def divide(data: Dataset, seed: int, labels_per_class: int | None = None) -> Division:
    """Divide canonical training data, determined by `seed`.

    Raises:
        DataError: there are too few rows, or too few contexts, to divide.
    """
    unlabelled = None
    if labels_per_class is not None:
        data, unlabelled = few_labels(data, labels_per_class, seed)
    labelled, to_choose = hold_out(data, seed)
    return Division(labelled, unlabelled, to_choose)


def hold_out(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Divide canonical training data into (train, selection slice), determined by `seed`.

    Labels and scores keep their proportions. Questions about one context stay together, and plain
    text is held out in one run. Nothing else is kept together: of short texts that occur twice, one
    may be trained on and the other held out.

    Raises:
        DataError: there are too few rows, or too few contexts, to divide.
    """
    random = np.random.default_rng(seed)
    size = _slice_size(len(data))
    if "context" in data.column_names:
        chosen = _whole_contexts(data, size, random)
    elif set(data.column_names) - {"id"} == {"text"}:
        begin = int(random.integers(len(data) - size + 1))
        chosen = np.arange(begin, begin + size)
    else:
        chosen = _proportional(data, size, random)
    rest = np.setdiff1d(np.arange(len(data)), chosen)
    if not len(chosen) or not len(rest):
        raise DataError(
            f"{len(data)} training rows are too few to hold some out for model selection",
            "give more training data (for questions: about more than one context)",
        )
    return data.select(rest), data.select(chosen)


def few_labels(data: Dataset, most: int, seed: int) -> tuple[Dataset, Dataset]:
    """Divide classified texts into (labelled, the rest): of each class `most` rows stay labelled.

    The same seed chooses the same rows, so that a teacher and its student see the same labels.
    """
    random = np.random.default_rng(seed)
    left: dict[str, int] = {}
    labels, chosen = data["label"][:], []
    for row in random.permutation(len(data)):
        left.setdefault(labels[row], most)
        if left[labels[row]]:
            left[labels[row]] -= 1
            chosen.append(row)
    kept = np.sort(np.array(chosen, dtype=np.int64))
    if len(kept) == len(data):
        warn(f"no class has more than {most:,} training texts: all labels are used")
    return data.select(kept), data.select(np.setdiff1d(np.arange(len(data)), kept))


def _slice_size(rows: int) -> int:
    small = max(min(LEAST, rows // 4), min(1, rows - 1))
    return min(MOST, max(rows // SHARE, small))


def _proportional(data: Dataset, size: int, random: np.random.Generator) -> Indices:
    """Take rows at equal distances in the order of their labels, shuffled among equals."""
    order = random.permutation(len(data))
    if "label" in data.column_names:
        labels = np.array(data["label"][:])
        order = order[np.argsort(labels[order], kind="stable")]
    places = (np.arange(size) + random.random()) * len(data) / max(size, 1)
    return np.sort(order[places.astype(np.int64)])


def _whole_contexts(data: Dataset, size: int, random: np.random.Generator) -> Indices:
    """Take contexts in random order until `size` questions are reached; always leave one."""
    numbers: dict[str, int] = {}
    place = np.array([numbers.setdefault(text, len(numbers)) for text in data["context"][:]])
    counts = np.bincount(place)  # (contexts,)
    order = random.permutation(len(counts))[: len(counts) - 1]
    before = np.cumsum(counts[order]) - counts[order]
    return np.flatnonzero(np.isin(place, order[before < size]))
