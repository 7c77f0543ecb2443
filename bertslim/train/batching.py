"""From encoded rows to padded batches: which go together, how they are padded, who gets what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]
Array = npt.NDArray[Any]
Batch = dict[str, Array]

IGNORED_LABEL = -100
"""Tokens with this label take no part in the loss."""

POOL_BATCHES = 64
"""Rows are sorted by length in pools of this many batches: little padding, a thorough shuffle."""

TOKEN_COLUMNS = ("input_ids", "token_type_ids", "labels")
EXAMPLE_COLUMNS = ("labels", "start_positions", "end_positions")
LOGITS_AT = "logits_at"
"""Column that tells a masked language model where its guesses are wanted: (batch, length)."""
TURN = "turn."
"""Where several tasks learn in turns, a column that begins with this ends with the task's number:
names are read without waiting for the GPU, values are not."""


def length_buckets(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Deal all rows into shuffled batches of near-equal length, determined by `seed` and `epoch`.

    Returns:
        Row indices per batch, shortest row first; each row occurs once, and at most one batch is
        smaller than `batch_size`.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    pool_size = batch_size * POOL_BATCHES
    pools = [order[start : start + pool_size] for start in range(0, len(order), pool_size)]
    sizes = np.asarray(lengths)
    # Sorting is stable, so that rows of one length stay shuffled.
    ordered = [pool[np.argsort(sizes[pool], kind="stable")] for pool in pools]
    batches = [
        [int(index) for index in pool[start : start + batch_size]]
        for pool in ordered
        for start in range(0, len(pool), batch_size)
    ]
    return [batches[index] for index in random.permutation(len(batches))]


def row_lengths(encoded: "Dataset") -> list[int]:
    """Return the tokens of each encoded row, without reading these."""
    import pyarrow.compute

    ids = encoded.select_columns("input_ids").with_format("arrow")[:]["input_ids"]
    lengths: list[int] = pyarrow.compute.list_value_length(ids).to_pylist()
    return lengths


def rows_at(data: "Dataset", indices: Sequence[int]) -> list[Row]:
    """Read these rows of a data set in one go."""
    columns = data[list(indices)]
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def collate(rows: Sequence[Row], pad_token_id: int) -> Batch:
    """Pad rows to their longest and stack them; the same for training and for every runtime.

    Args:
        rows: `input_ids`, perhaps `token_type_ids`, and `labels` (a class, a number, or one per
            token) or `start_positions` and `end_positions`. Other columns are left out.
        pad_token_id: fills `input_ids`; labels per token are filled with `IGNORED_LABEL`.

    Returns:
        Arrays (batch, length) or (batch,), among them `attention_mask`; integers are int64, real
        labels float32.
    """
    filling = dict(zip(TOKEN_COLUMNS, (pad_token_id, 0, IGNORED_LABEL), strict=True))
    length = max(len(row["input_ids"]) for row in rows)
    batch: Batch = {}
    for name in dict.fromkeys((*TOKEN_COLUMNS, *EXAMPLE_COLUMNS)):
        if name not in rows[0]:
            continue
        values = [row[name] for row in rows]
        per_example = np.ndim(values[0]) == 0
        batch[name] = _column(values) if per_example else _padded(values, length, filling[name])
    lengths = np.array([len(row["input_ids"]) for row in rows])
    batch["attention_mask"] = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return batch


def _column(values: Sequence[int | float]) -> Array:
    column = np.asarray(values)
    return column.astype(np.float32 if column.dtype.kind == "f" else np.int64)


def _padded(values: Sequence[Sequence[int]], length: int, filling: int) -> Array:
    padded = np.full((len(values), length), filling, dtype=np.int64)
    for target, row in zip(padded, values, strict=True):
        target[: len(row)] = row
    return padded


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What one process computes at a time, and what its mean loss counts for."""

    batch: Batch
    share: float
    """Factor of the mean loss, so that the sum over micro-batches, averaged over processes, is the
    mean over the whole batch."""


def micro_batches(
    batch: Batch, *, accumulation: int = 1, rank: int = 0, ranks: int = 1
) -> Iterator[MicroBatch]:
    """Cut a step's batch into this process's `accumulation` micro-batches.

    With n_p the items (examples, or tokens with a label) of part p, n of the whole batch and R
    processes, share_p = R n_p / n: DistributedDataParallel divides by R when it averages gradients.
    A part without items borrows a row at share 0, since every process has to take part. A batch
    without any item has no micro-batches, in every process.
    """
    items = items_per_row(batch)  # (batch,)
    total = int(items.sum())
    if total == 0:
        return
    spare = np.flatnonzero(items)[:1]
    parts = accumulation * ranks
    for step in range(accumulation):
        rows = np.arange(step * ranks + rank, len(items), parts)
        share = ranks * int(items[rows].sum()) / total
        chosen = rows if share else spare
        yield MicroBatch({name: column[chosen] for name, column in batch.items()}, share)


def items_per_row(batch: Batch) -> Array:
    """Count what the mean loss is a mean of: (batch,) labelled tokens, or 1 per example."""
    labels = batch.get("labels")
    if labels is not None and labels.ndim == 2:
        return np.asarray((labels != IGNORED_LABEL).sum(axis=1))
    return np.ones(len(batch["input_ids"]), dtype=np.int64)
