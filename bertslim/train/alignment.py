"""Teachers who cut words into other pieces than the student does: answers go from word to word."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.train.batching import IGNORED_LABEL, Batch, collate, rows_at
from bertslim.train.readers.arrow import BATCH_ROWS, Columns, arrow_dataset
from bertslim.train.records.recorded import Answers
from bertslim.train.teacher import TEACHER, Teacher

LABELS = TEACHER + "labels"
"""Column that tells where words begin for the teacher: (batch, its own length)."""


def shared_words(readings: Sequence[Dataset]) -> list[Dataset]:
    """Return rows as several readers encode them, labelled at the words alone that all have read.

    A reader of more pieces is at the end of its `max_length` earlier, and a word of which nothing
    is left to read has no place. What remains are the same words for all, in the same order.
    """
    return [arrow_dataset(_shared(readings, own), own.features) for own in readings]


@dataclass(frozen=True, slots=True, eq=False)
class WordByWord:
    """A teacher whose answers are put where the student's words begin.

    Attributes:
        teacher: Answers for its own pieces.
        rows: The training rows as it reads them, from `shared_words`, as the student's are.
    """

    teacher: Teacher
    rows: Dataset

    def settle(self, device: torch.device) -> None:
        """Get the teacher ready."""
        self.teacher.settle(device)

    def columns(self, rows: Sequence[int]) -> Batch:
        """Return the teacher's columns, and where words begin for it."""
        labels = collate(rows_at(self.rows, rows), pad_token_id=0)["labels"]
        return {**self.teacher.columns(rows), LABELS: labels}

    def answers(self, batch: Mapping[str, Tensor]) -> Answers:
        """Return the answers in the student's places: logits (batch, length, classes), else 0."""
        told = self.teacher.answers(batch)
        states = getattr(told, "hidden_states", None) or {}
        scores = getattr(told, "attention_scores", None)
        if told.logits is None:
            return Answers(None, None, None, states, scores)
        theirs, own = (batch[name] != IGNORED_LABEL for name in (LABELS, "labels"))
        logits = told.logits.new_zeros(*own.shape, told.logits.shape[-1])
        # row by row, the words of both are the same
        logits[own] = told.logits[theirs]
        return Answers(logits, None, None, states, scores)


def _shared(readings: Sequence[Dataset], own: Dataset) -> Iterator[Columns]:
    for start in range(0, len(own), BATCH_ROWS):
        stop = min(start + BATCH_ROWS, len(own))
        read = [reading.select_columns("words")[start:stop]["words"] for reading in readings]
        shared = [set.intersection(*map(set, words)) for words in zip(*read, strict=True)]
        batch: Columns = own[start:stop]
        columns = zip(batch["labels"], batch["words"], shared, strict=True)
        labels = [_labelled(*column) for column in columns]
        words = [sorted(some) for some in shared]
        yield {**batch, "labels": labels, "words": words}


def _labelled(labels: Sequence[int], words: Sequence[int], kept: Collection[int]) -> list[int]:
    """Take the label from each word that is not kept; `words` are the labelled ones, in order."""
    word = iter(words)
    return [
        label if label != IGNORED_LABEL and next(word) in kept else IGNORED_LABEL
        for label in labels
    ]
