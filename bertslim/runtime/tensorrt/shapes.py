"""Engines take one shape each: which of them a batch goes to, and how it is made to fit."""

from collections.abc import Sequence

import numpy as np

from bertslim.runtime.agreement import PER_TOKEN
from bertslim.runtime.engine import Array, Batch, Outputs
from bertslim.runtime.tensorrt.building import Shape

LENGTH_STEP = 64
"""Lengths of engines that are built for batches nobody announced."""


def shape_for(batch: Shape, held: Sequence[Shape], longest: int) -> Shape:
    """Choose the shape of the engine that runs a batch.

    Args:
        batch: (rows, tokens).
        held: Shapes of the engines that there are. One of exactly the batch's shape is taken, else
            the smallest that the batch fits into, else a new one, with some room.
        longest: Tokens that the model can take.
    """
    if batch in held:
        return batch
    rows, tokens = batch
    if fitting := [shape for shape in held if shape[0] >= rows and shape[1] >= tokens]:
        return min(fitting, key=lambda shape: shape[0] * shape[1])
    room = -(-tokens // LENGTH_STEP) * LENGTH_STEP
    return 1 << (rows - 1).bit_length(), max(tokens, min(room, longest))


def padded(batch: Batch, shape: Shape) -> dict[str, Array]:
    """Fill a batch up with tokens and rows that the mask hides."""
    rows, tokens = batch["input_ids"].shape
    room = ((0, shape[0] - rows), (0, shape[1] - tokens))
    return {name: np.pad(values, room) for name, values in batch.items()}


def cut(outputs: Outputs, batch: Shape) -> Outputs:
    """Take what belongs to the batch itself: its rows and, where there is one for each, tokens."""
    rows, tokens = batch
    return {
        name: values[:rows, :tokens] if name in PER_TOKEN or values.ndim == 3 else values[:rows]
        for name, values in outputs.items()
    }
