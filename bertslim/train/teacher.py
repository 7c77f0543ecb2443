"""Where the targets of an objective come from, such as a model that is asked as training goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from bertslim.model.signature import INPUTS
from bertslim.train.batching import LOGITS_AT, Batch, collate, rows_at
from bertslim.train.precision import placed

TEACHER = "teacher."
"""Columns of a batch that begin with this are for the teacher, not for the student."""


class Teacher(Protocol):
    """What the training loop asks of a teacher."""

    def settle(self, device: torch.device) -> None:
        """Get ready on the device of the training."""

    def columns(self, rows: Sequence[int]) -> Batch:
        """Return what has to go with these training rows: columns that begin with `TEACHER`."""

    def answers(self, batch: Mapping[str, Tensor]) -> Any:
        """Return the outputs for a batch, as objectives take them."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveTeacher:
    """A model that is asked batch by batch, without gradient and without dropout.

    Attributes:
        model: The teacher; it is left as it is, in evaluation mode.
        asked: Flags of its `forward`, for outputs beside the logits.
        rows: The training rows as the teacher reads them; None if it reads what the student reads.
    """

    model: PreTrainedModel
    asked: Mapping[str, bool] = field(default_factory=dict)
    rows: Dataset | None = None

    def settle(self, device: torch.device) -> None:
        """Put the model where the training is."""
        placed(self.model, device).train(False)

    def columns(self, rows: Sequence[int]) -> Batch:
        """Return the teacher's own inputs, where it reads other tokens than the student."""
        if self.rows is None:
            return {}
        batch = collate(rows_at(self.rows, rows), self.model.config.padding_id)
        return {TEACHER + name: batch[name] for name in INPUTS if name in batch}

    def answers(self, batch: Mapping[str, Tensor]) -> Any:
        """Ask the model, without labels."""
        prefix = "" if self.rows is None else TEACHER
        names = (*INPUTS, LOGITS_AT)
        inputs = {name: batch[prefix + name] for name in names if prefix + name in batch}
        with torch.no_grad():
            return self.model(**inputs, **self.asked)
