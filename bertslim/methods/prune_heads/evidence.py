"""The examples that heads are judged by."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from datasets import Dataset

from bertslim.errors import DataError
from bertslim.train.batching import IGNORED_LABEL
from bertslim.train.encoding import Masking
from bertslim.train.examples import LABELLED, Examples

ScoreKind = Literal["example", "token"]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What heads are scored on, and how.

    Attributes:
        data: Encoded examples with labels; of a long context each piece is one.
        masking: Makes the labels where these are words to guess; the same words every time.
        score: What the absolute value is taken of: all that a head does to the loss of an example
            (the paper's formula), or what it does by one token (the paper's code).
        batch_size: Examples per pass; it changes the speed, not the scores (those of questions a
            little: their loss counts padding among the places where an answer might be).
    """

    data: Dataset
    masking: Masking | None
    score: ScoreKind
    batch_size: int


def evidence_from(examples: Examples, score: ScoreKind, batch_size: int) -> Evidence:
    """Take training examples as evidence.

    Raises:
        DataError: If there is none, or all have one label: the scores would be about it alone.
    """
    data = examples.encoded
    if len(data) == 0:
        raise DataError("there are no training examples to score heads on", "check the task's data")
    if examples.task.kind in LABELLED and len(found := _labels(data)) == 1:
        label = examples.labels[found.pop()]
        raise DataError(
            f"all {len(data):,} training examples that heads are scored on are labelled {label!r}",
            "raise --examples, or give the task training data with more labels",
        )
    return Evidence(data, examples.masking, score, batch_size)


def _labels(data: Dataset) -> set[int]:
    """Return the labels that occur, of examples or of their tokens."""
    return {int(x) for x in np.unique(np.hstack(data["labels"][:]))} - {IGNORED_LABEL}
