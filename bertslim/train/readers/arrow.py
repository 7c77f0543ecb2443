"""Memory-mapped Arrow data sets, written as rows come in: RAM holds one batch at a time."""

import atexit
import contextlib
import errno
import functools
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable

from bertslim.errors import DataError
from bertslim.store.digest import file_digest

BATCH_ROWS = 1000
Columns = dict[str, Sequence[Any]]


def arrow_dataset(batches: Iterable[Columns], features: Features) -> Dataset:
    """Write batches of columns to a file of this process and map it.

    The file lies in the system's folder for temporary files and goes with the process. The data
    set's fingerprint is the digest of its content, so that equal data is equal to `datasets`, too.

    Raises:
        DataError: If that folder is full.
    """
    with tempfile.NamedTemporaryFile(dir=_folder(), suffix=".arrow", delete=False) as file:
        path = Path(file.name)
    with _explained_lack_of_space():
        writer = ArrowWriter(path=str(path), features=features)
        for batch in batches:
            writer.write_batch(batch)
        writer.finalize()
    return Dataset(MemoryMappedTable.from_file(str(path)), fingerprint=file_digest(path))


def columns_of(rows: Iterable[dict[str, Any]]) -> Iterator[Columns]:
    """Gather rows into batches of columns."""
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH_ROWS)):
        yield {name: [row[name] for row in batch] for name in batch[0]}


@contextlib.contextmanager
def _explained_lack_of_space() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"{tempfile.gettempdir()} is full, where data lies while it is worked on",
            "free some space there, or let TMPDIR name a folder that has some",
        ) from error


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="bertslim-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
