"""Files of answers: each written once and whole, found by the content of the rows they answer."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
from datasets import Dataset

from bertslim.errors import TrainingError

ROW = "row"
"""The column of row keys."""
KEY_BYTES = 16

Array = npt.NDArray[Any]


def row_keys(rows: Dataset) -> list[bytes]:
    """Return for each encoded row the digest of what a model reads of it."""
    keys = []
    for start in range(0, len(rows), 1000):
        some = rows[start : start + 1000]
        nothing = [()] * len(some["input_ids"])
        for ids, types in zip(some["input_ids"], some.get("token_type_ids", nothing), strict=True):
            content = np.asarray([len(ids), *ids, *types], dtype=np.int32).tobytes()
            keys.append(hashlib.blake2b(content, digest_size=KEY_BYTES).digest())
    return keys


def write_shard(
    folder: Path, keys: Sequence[bytes], columns: Mapping[str, Sequence[Array]]
) -> None:
    """Write the answers to some rows; the file has its name when it is complete.

    Args:
        folder: Made if it is not there.
        keys: Of the rows.
        columns: By name, a flat array for each row.
    """
    arrays = {ROW: pa.array(keys, pa.binary(KEY_BYTES))}
    arrays |= {name: _lists(rows) for name, rows in columns.items()}
    table = pa.record_batch(list(arrays.values()), names=list(arrays))
    name = hashlib.blake2b(b"".join(keys), digest_size=KEY_BYTES).hexdigest()
    unfinished = folder / f"{name}.{os.getpid()}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_batch(table)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(folder / f"{name}.arrow")
    finally:
        unfinished.unlink(missing_ok=True)


def _lists(rows: Sequence[Array]) -> pa.Array:
    offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(rows)))


class Shards:
    """All answers in a folder as it is now; memory-mapped."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Open the files.

        Raises:
            TrainingError: If one of them is damaged.
        """
        batches = [_open(path, names) for path in sorted(folder.glob("*.arrow"))]
        self.starts = np.cumsum([0, *(len(batch) for batch in batches)])
        self.keys = pa.chunked_array([batch[ROW] for batch in batches], pa.binary(KEY_BYTES))
        self.columns = {
            name: [(_numpy(b[name].offsets), _numpy(b[name].values)) for b in batches]
            for name in names
        }

    def places(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Return where the answer to each row is; -1 where there is none."""
        wanted = pa.array(keys, pa.binary(KEY_BYTES))
        found = pyarrow.compute.index_in(wanted, value_set=self.keys)
        return np.asarray(found.fill_null(-1).to_numpy(), dtype=np.int64)

    def rows(self, name: str, places: Sequence[int]) -> list[Array]:
        """Return the flat arrays of one column at these places."""
        shards = np.searchsorted(self.starts, places, side="right") - 1
        found = []
        for shard, place in zip(shards, places, strict=True):
            offsets, values = self.columns[name][shard]
            own = place - self.starts[shard]
            found.append(values[offsets[own] : offsets[own + 1]])
        return found


def _open(path: Path, names: Sequence[str]) -> pa.RecordBatch:
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        for name in (ROW, *names):
            batch[name].validate()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise TrainingError(
            f"the teacher's answers in {path} cannot be read: {error}",
            "remove the file: what it held is asked for again",
        ) from error
    return batch


def _numpy(array: pa.Array) -> Array:
    return np.asarray(array.to_numpy(zero_copy_only=True))
