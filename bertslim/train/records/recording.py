"""Asks a teacher what it has not been asked before, and keeps the answers."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from rich.filesize import decimal

from bertslim.console import note, track
from bertslim.errors import TrainingError
from bertslim.model.signature import INPUTS
from bertslim.model.slim import SlimModel
from bertslim.store.digest import settings_digest
from bertslim.train.batching import collate, length_buckets, rows_at
from bertslim.train.precision import Precision, autocast, placed
from bertslim.train.records.layout import STATE, Array, Kept, Layout, kept_arrays, layout_of
from bertslim.train.records.recorded import RecordedTeacher
from bertslim.train.records.shards import Shards, row_keys, write_shard

FORMAT = 1
"""Raised when the same teacher's answers come to be kept otherwise."""
ROWS_PER_FILE = 8192
"""An interruption loses the answers of no more rows than these."""
ROWS_AT_ONCE = 32
ROOM = "make room there, name another place with --cache, or ask at every step with --no-cache"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where answers are kept, and what they depend on beside the rows.

    Attributes:
        folder: For any number of teachers.
        teacher: The digest of the teacher's checkpoint.
        precision: What it computes in.
    """

    folder: Path
    teacher: str
    precision: Precision

    def place(self, layout: Layout) -> Path:
        """Return the folder of one teacher's answers of one kind."""
        columns = {name: asdict(column) for name, column in layout.items()}
        content = {"format": FORMAT, "teacher": self.teacher, "precision": self.precision}
        return self.folder / settings_digest({**content, "columns": columns})


def recorded_teacher(
    model: SlimModel,
    rows: Dataset,
    kept: Kept,
    shelf: Shelf,
    accelerator: Accelerator,
) -> RecordedTeacher:
    """Ask a teacher about the rows that it has not answered yet, and open its answers.

    Answers are found by the tokens of a row: they serve other runs that train on the same texts,
    in whatever order and split. Several processes share the work.

    Args:
        model: The teacher; it is put on the device of the training.
        rows: The training rows as the teacher reads them.
        kept: What is kept of its outputs.
        shelf: Where.
        accelerator: The processes of this run.

    Raises:
        TrainingError: If there is no room, or a file is damaged.
    """
    layout = layout_of(model, kept)
    folder, keys = shelf.place(layout), row_keys(rows)
    missing = _missing(Shards(folder, list(layout)), keys)
    _announce(rows, missing, layout, folder)
    # by their keys: processes need not agree on what was there before
    rank, ranks = accelerator.process_index, accelerator.num_processes
    own = [row for row in missing if int.from_bytes(keys[row]) % ranks == rank]
    placed(model, accelerator.device).train(False)
    ask = partial(_ask, model, rows, layout, shelf.precision)
    for start in range(0, len(own), ROWS_PER_FILE):
        some = own[start : start + ROWS_PER_FILE]
        with _explained(folder):
            write_shard(folder, [keys[row] for row in some], ask(some))
    accelerator.wait_for_everyone()
    shards = Shards(folder, list(layout))
    places = shards.places(keys)
    if (places < 0).any():
        raise TrainingError(
            f"another process left no answers of the teacher in {folder}",
            "put the output, or --cache, on a file system that all hosts share",
        )
    return RecordedTeacher(shards, places, layout)


def _missing(shards: Shards, keys: Sequence[bytes]) -> list[int]:
    """Return the rows without an answer, one of those that are alike."""
    places = shards.places(keys)
    first = {key: row for row, key in reversed(list(enumerate(keys))) if places[row] < 0}
    return sorted(first.values())


def _announce(rows: Dataset, missing: Sequence[int], layout: Layout, folder: Path) -> None:
    """Say how large the answers will be.

    Raises:
        TrainingError: If there is no room for them.
    """
    if not missing:
        return
    lengths = [len(ids) for ids in rows.select(missing)["input_ids"]]
    columns = [(column, np.dtype(column.dtype).itemsize) for column in layout.values()]
    size = sum(column.size(n) * bytes_ for n in lengths for column, bytes_ in columns)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    text = f"the teacher's answers to {len(missing):,} rows take {decimal(size)} in {folder}"
    if size > free:
        raise TrainingError(f"{text}, where {decimal(free)} are free", ROOM)
    note(text)


def _ask(
    model: SlimModel,
    rows: Dataset,
    layout: Layout,
    precision: Precision,
    wanted: Sequence[int],
) -> dict[str, list[Array]]:
    """Return the answers to the wanted rows, in their order."""
    device = next(model.parameters()).device
    states = any(name.startswith(STATE) for name in layout)
    lengths = [len(ids) for ids in rows.select(wanted)["input_ids"]]
    found: dict[str, list[Array]] = {name: [np.empty(0)] * len(wanted) for name in layout}
    buckets = length_buckets(lengths, ROWS_AT_ONCE, seed=0, epoch=0)
    for bucket in track(buckets, "asking the teacher"):
        batch = collate(rows_at(rows, [wanted[n] for n in bucket]), model.config.padding_id)
        inputs = {n: torch.from_numpy(batch[n]).to(device) for n in INPUTS if n in batch}
        with torch.no_grad(), autocast(precision, device):
            outputs = model(**inputs, output_first_states=states)
        for name, arrays in kept_arrays(outputs, layout, [lengths[n] for n in bucket]).items():
            for n, array in zip(bucket, arrays, strict=True):
                found[name][n] = array
    return found


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"the teacher's answers cannot be written to {folder}: {error.strerror or error}", ROOM
        ) from error
