"""A teacher that has been asked already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bertslim.train.batching import Batch
from bertslim.train.records.layout import STATE, Layout, stacked
from bertslim.train.records.shards import Shards
from bertslim.train.teacher import TEACHER


@dataclass(frozen=True, slots=True)
class Answers:
    """What was kept of a teacher's outputs, as objectives take them."""

    logits: Tensor | None
    start_logits: Tensor | None
    end_logits: Tensor | None
    hidden_states: Mapping[int, Tensor]
    """By number, the first token's: (batch, 1, hidden)."""
    attention_scores: Sequence[Tensor] | None = None
    """Of a teacher that is asked, and reads the student's tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTeacher:
    """A teacher whose answers to the training rows are all there.

    Attributes:
        shards: Where they are.
        places: Of each training row, the place of its answer in `shards`.
        layout: What an answer looks like.
    """

    shards: Shards
    places: npt.NDArray[np.int64]
    layout: Layout

    def settle(self, device: torch.device) -> None:
        """Do nothing: answers move with their batch."""

    def columns(self, rows: Sequence[int]) -> Batch:
        """Return the answers to some rows."""
        places = [int(self.places[row]) for row in rows]
        return {
            TEACHER + name: stacked(self.shards.rows(name, places), column)
            for name, column in self.layout.items()
        }

    def answers(self, batch: Mapping[str, Tensor]) -> Answers:
        """Take the answers out of the batch."""
        logits, start, end = (
            batch.get(TEACHER + name) for name in ("logits", "start_logits", "end_logits")
        )
        states = {
            int(name.removeprefix(STATE)): batch[TEACHER + name][:, None]
            for name in self.layout
            if name.startswith(STATE)
        }
        return Answers(logits, start, end, states)
