"""What is kept of a teacher's outputs, and in which form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bertslim.errors import TrainingError
from bertslim.model.families.family import SEQUENCES, SPANS
from bertslim.model.slim import SlimModel, head_of_model

Array = npt.NDArray[Any]
STATE = "state."
"""Columns of hidden states are called `state.2`, and so on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a teacher's outputs is kept.

    Attributes:
        logits: Whether its logits are.
        states: Of which hidden states the first token is; 0 is the embeddings.
    """

    logits: bool
    states: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """How one output of one row is kept."""

    width: int
    """Numbers per row, or per token."""
    per_token: bool
    dtype: Literal["float16", "float32"]

    def size(self, length: int) -> int:
        """Return the numbers of a row of `length` tokens."""
        return self.width * (length if self.per_token else 1)


Layout = Mapping[str, Column]


def layout_of(teacher: SlimModel, kept: Kept) -> dict[str, Column]:
    """Return what a row of a teacher's answers looks like.

    Of states 11 bits are enough, for directions and for distances of this size.
    """
    config, head = teacher.config, head_of_model(teacher)
    columns: dict[str, Column] = {}
    if kept.logits and head == SPANS:
        columns = dict.fromkeys(("start_logits", "end_logits"), Column(1, True, "float32"))
    elif kept.logits:
        columns["logits"] = Column(config.num_labels or 0, head != SEQUENCES, "float32")
    states = {f"{STATE}{n}": Column(config.hidden_size, False, "float16") for n in kept.states}
    return columns | states


def kept_arrays(outputs: Any, layout: Layout, lengths: Sequence[int]) -> dict[str, list[Array]]:
    """Return for each column the flat arrays of a batch's rows, padding left out.

    Raises:
        TrainingError: If they are not all numbers, or beyond what is kept of them.
    """
    found = {}
    for name, column in layout.items():
        with np.errstate(over="ignore"):
            values = _output(outputs, name).float().cpu().numpy().astype(column.dtype)
        if not np.isfinite(values).all():
            raise TrainingError(
                f"the teacher's {name} are not all finite numbers of {column.dtype}",
                "use --no-cache to ask it at every step, with --precision fp32 if that fails too",
            )
        rows = zip(values, lengths, strict=True)
        found[name] = [(v[:n] if column.per_token else v).reshape(-1) for v, n in rows]
    return found


def _output(outputs: Any, name: str) -> Tensor:
    if name.startswith(STATE):
        state: Tensor = outputs.hidden_states[int(name.removeprefix(STATE))][:, 0]
        return state
    logits: Tensor = outputs[name]
    return logits


def stacked(rows: Sequence[Array], column: Column) -> Array:
    """Return the rows of a batch, (batch, [longest,] [width]), shorter ones filled with 0."""
    if not column.per_token:
        return np.stack(rows)
    longest = max(len(row) for row in rows)
    padded = np.zeros((len(rows), longest), dtype=column.dtype)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded if column.width == 1 else padded.reshape(len(rows), -1, column.width)
