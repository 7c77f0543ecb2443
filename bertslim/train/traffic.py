"""Batches as a server gets them: the rows of a task as they come, whatever their length."""

import numpy as np

from bertslim.model.signature import INPUTS
from bertslim.train.batching import Batch, collate, rows_at
from bertslim.train.encoding import mask_by_number
from bertslim.train.examples import Examples

BATCHES = 8
"""In one pass: enough that short and long ones are among them."""


def traffic(examples: Examples, size: int, *, seed: int) -> list[Batch]:
    """Draw batches of `size` rows, each padded to its longest; rows are not sorted by length.

    The same seed draws the same rows for every model. Too few rows are drawn over again.
    """
    order = np.random.default_rng(seed).permutation(len(examples.encoded))
    drawn = np.resize(order, (BATCHES, size))
    return [_batch(examples, [int(index) for index in indices]) for indices in drawn]


def _batch(examples: Examples, indices: list[int]) -> Batch:
    rows = rows_at(examples.encoded, indices)
    if examples.masking is not None:
        rows = [mask_by_number(row, examples.masking) for row in rows]
    batch = collate(rows, examples.pad_token_id)
    return {name: batch[name] for name in INPUTS if name in batch}
