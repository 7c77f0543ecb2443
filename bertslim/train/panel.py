"""Several teachers as one: what they answer is averaged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bertslim.train.batching import Batch
from bertslim.train.objectives import SILENT
from bertslim.train.records.recorded import Answers
from bertslim.train.teacher import TEACHER, Teacher


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Teachers whose answers are averaged; their states are not.

    Attributes:
        members: The teachers.
        orders: Of each, where the student's classes stand among its own; empty: in the same order.
        temperature: At which probabilities are averaged.
    """

    members: Sequence[Teacher]
    orders: Sequence[Sequence[int]]
    temperature: float

    def settle(self, device: torch.device) -> None:
        """Get all of them ready."""
        for member in self.members:
            member.settle(device)

    def columns(self, rows: Sequence[int]) -> Batch:
        """Return the columns of all, each under its own number."""
        return {
            _name(number, name): column
            for number, member in enumerate(self.members)
            for name, column in member.columns(rows).items()
        }

    def answers(self, batch: Mapping[str, Tensor]) -> Answers:
        """Ask all of them, and average."""
        told = [member.answers(_own(batch, number)) for number, member in enumerate(self.members)]
        if told[0].logits is None:
            real = batch["attention_mask"] == 1
            start, end = (
                self._average([ends.masked_fill(~real, SILENT) for ends in both])
                for both in ([t.start_logits for t in told], [t.end_logits for t in told])
            )
            return Answers(None, start, end, {})
        pairs = zip(told, self.orders, strict=True)
        logits = [t.logits[..., list(order)] if order else t.logits for t, order in pairs]
        return Answers(self._average(logits), None, None, {})

    def _average(self, logits: Sequence[Tensor]) -> Tensor:
        return averaged_logits(logits, self.temperature)


def averaged_logits(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Return the logits whose softmax at T is the mean of the teachers' softmaxes at T.

    As high as the teachers' are on average: what all say alike comes back as it is, and scores,
    which are logits of one class, give their mean.

    Args:
        logits: v_k of each teacher, (..., classes).
        temperature: T.
    """
    scaled = torch.stack([v.float() for v in logits]) / temperature  # (teachers, ..., classes)
    heights = scaled.logsumexp(-1, keepdim=True)
    # v = T (log 1/K sum_k softmax(v_k / T)  +  1/K sum_k log sum exp(v_k / T))
    log_mean = (scaled - heights).logsumexp(0) - math.log(len(logits))
    return temperature * (log_mean + heights.mean(0))


def _name(number: int, name: str) -> str:
    return f"{TEACHER}{number}.{name.removeprefix(TEACHER)}"


def _own(batch: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """Return the batch as one teacher alone would have it."""
    prefix = _name(number, "")
    shared = {name: column for name, column in batch.items() if not name.startswith(TEACHER)}
    own = {name: column for name, column in batch.items() if name.startswith(prefix)}
    return shared | {TEACHER + name.removeprefix(prefix): c for name, c in own.items()}
