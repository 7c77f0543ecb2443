"""What a training run is fed with: the rows of a task, or of several tasks in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from datasets import Dataset

from bertslim.train.batching import TURN, Batch, collate, length_buckets, row_lengths, rows_at
from bertslim.train.settings import batches_of
from bertslim.train.teacher import Teacher

Prepare = Callable[[Batch, np.random.Generator], Batch]
"""Changes each step's padded batch before it is learnt from: masks tokens, for example."""


class Feed(Protocol):
    """What the training loop asks of its data."""

    def deal(self, epoch: int) -> Sequence[Sequence[int]]:
        """Return the rows of each batch of an epoch; all epochs have as many batches."""

    def batch(self, rows: Sequence[int], step: int) -> Batch:
        """Return some of these rows as the model and its teacher read them."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskFeed:
    """The rows of one task.

    Attributes:
        rows: Encoded, as `collate` takes them.
        batch_size: Rows per batch.
        seed: Determines the order of the rows, and what `prepare` draws.
        padding_id: What fills short rows.
        teacher: Whose columns go with a batch.
        prepare: Changes a batch.
    """

    rows: Dataset
    batch_size: int
    seed: int
    padding_id: int
    teacher: Teacher | None = None
    prepare: Prepare | None = None
    lengths: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        """Look at the lengths once."""
        object.__setattr__(self, "lengths", row_lengths(self.rows))

    @property
    def batches(self) -> int:
        """How many there are in an epoch."""
        return batches_of(len(self.lengths), self.batch_size)

    def deal(self, epoch: int) -> list[list[int]]:
        """Return batches of near-equal length, each row once."""
        return length_buckets(self.lengths, self.batch_size, seed=self.seed, epoch=epoch)

    def batch(self, rows: Sequence[int], step: int) -> Batch:
        """Return the batch of a step, with what its teacher has to say or to read."""
        batch = collate(rows_at(self.rows, rows), self.padding_id)
        if self.prepare is not None:
            batch = self.prepare(batch, np.random.default_rng([self.seed, step]))
        return batch if self.teacher is None else batch | self.teacher.columns(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Several tasks, a batch of one of them at a time.

    An epoch has as many batches as all tasks together. Of task i, which has m_i of them, it has the
    part m_i^p / sum_j m_j^p: p = 1 shows each row once, p = 0 all tasks alike. Each task goes on
    where it was in the epoch before, and begins anew, in another order, when it was through.

    Attributes:
        feeds: Of each task.
        balance: p.
        seed: Determines whose turn it is.
    """

    feeds: Sequence[TaskFeed]
    balance: float
    seed: int

    def deal(self, epoch: int) -> list[list[int]]:
        """Return batches of one task each; rows are counted through all tasks."""
        counts = shares([feed.batches for feed in self.feeds], self.balance)
        turns = np.repeat(np.arange(len(counts)), counts)
        dealt = [iter(self._own(n, epoch * count, count)) for n, count in enumerate(counts)]
        order = np.random.default_rng([self.seed, epoch]).permutation(turns)
        return [next(dealt[number]) for number in order]

    def batch(self, rows: Sequence[int], step: int) -> Batch:
        """Return a batch with a column that tells by its name whose turn it is."""
        starts = self._starts()
        number = int(np.searchsorted(starts, rows[0], side="right")) - 1
        batch = self.feeds[number].batch([row - starts[number] for row in rows], step)
        return batch | {f"{TURN}{number}": np.zeros(len(rows), dtype=np.int64)}

    def _starts(self) -> list[int]:
        sizes = [len(feed.lengths) for feed in self.feeds]
        return [sum(sizes[:number]) for number in range(len(sizes))]

    def _own(self, number: int, begin: int, count: int) -> list[list[int]]:
        """Return batches of one task, by their places among those of all its own epochs."""
        feed, start = self.feeds[number], self._starts()[number]
        epochs = range(begin // feed.batches, -(-(begin + count) // feed.batches))
        batches = [batch for own in epochs for batch in feed.deal(own)]
        skipped = begin - epochs.start * feed.batches
        return [[start + row for row in b] for b in batches[skipped : skipped + count]]


def shares(sizes: Sequence[int], power: float) -> list[int]:
    """Divide as many turns as there are in all, by the sizes to a power; each has one at least.

    What is left after rounding down goes to the largest remainders (Hamilton's method).
    """
    weights = np.asarray(sizes, dtype=np.float64) ** power
    exact = sum(sizes) * weights / weights.sum()
    counts = np.floor(exact).astype(np.int64)
    left = sum(sizes) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return [max(1, int(count)) for count in counts]
