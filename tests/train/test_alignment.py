"""Readers of other pieces meet at the words: where each begins, and which of them all have read."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset

from bertslim.train.alignment import LABELS, WordByWord, shared_words
from bertslim.train.batching import Batch, collate, rows_at
from bertslim.train.records.recorded import Answers
from bertslim.train.teacher import TEACHER

OWN = {
    "input_ids": [[4, 5, 6, 2], [7, 8, 2]],
    "labels": [[1, 0, 1, -100], [0, 1, -100]],
    "words": [[0, 1, 2], [0, 1]],
}
"""Words as they are: three, and two."""
THEIRS = {
    "input_ids": [[1, 9, 9, 9, 3], [1, 8, 3]],
    "labels": [[-100, 0, -100, 1, -100], [-100, 1, -100]],
    "words": [[0, 1], [1]],
}
"""Pieces: the first word has two, the third is cut off; of the second row a word is not there."""


class Numbered:
    """Answers each of its own places with its number."""

    def settle(self, device: torch.device) -> None: ...

    def columns(self, rows: Sequence[int]) -> Batch:
        return {TEACHER + "numbers": np.array(rows)}

    def answers(self, batch: Mapping[str, torch.Tensor]) -> Answers:
        places = torch.arange(batch[LABELS].numel()).view(batch[LABELS].shape)
        return Answers(places.unsqueeze(2) + torch.tensor([0.0, 0.5]), None, None, {})


def test_the_words_that_all_have_read_remain() -> None:
    own, theirs = shared_words([Dataset.from_dict(OWN), Dataset.from_dict(THEIRS)])
    assert own["words"][:] == theirs["words"][:] == [[0, 1], [1]]
    assert own["labels"][:] == [[1, 0, -100, -100], [-100, 1, -100]]
    assert theirs["labels"][:] == THEIRS["labels"]
    assert own["input_ids"][:] == OWN["input_ids"]


def test_answers_go_from_word_to_word() -> None:
    own, theirs = shared_words([Dataset.from_dict(OWN), Dataset.from_dict(THEIRS)])
    teacher = WordByWord(Numbered(), theirs)
    batch = {**collate(rows_at(own, [1, 0]), 0), **teacher.columns([1, 0])}
    told = teacher.answers({name: torch.from_numpy(column) for name, column in batch.items()})
    # of ten places the second row's word is at 1, the first row's words are at 6 and 8
    assert told.logits is not None
    assert told.logits[..., 0].tolist() == [[0, 1, 0, 0], [6, 8, 0, 0]]
    assert told.logits[0, 1].tolist() == [1.0, 1.5]
