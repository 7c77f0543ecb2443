"""What `augment` is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertslim.commands.options import Device
from bertslim.store.checkpoint import Checkpoint
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.methods.augment.settings import Augment

TableFormat = Literal["jsonl", "csv", "parquet"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    task: Task
    augment: "Augment"
    model: Checkpoint | None
    """A masked language model."""
    vectors: Path | None
    """Word vectors, in place of the model's embedding table."""
    lexicon: Path | None
    """Words and their parts of speech."""
    form: TableFormat
    keep_labels: bool
    all_rows: bool
    """Whether those are augmented as well that training chooses its epoch by."""
    labels_per_class: int | None
    """How many of each class training sees the labels of; None: of all."""
    seed: int
    device: Device
