"""Parquet files."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import COLUMNS_HINT, Rows, absent_columns
from bertslim.train.task import Layout


def read_parquet(path: Path, _layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield the rows of a file, placed by their number; the wanted columns only, or else all."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        faults.add(path, None, f"not a Parquet file ({error})")
        return
    with file:
        if absent := absent_columns(wanted, file.schema_arrow.names):
            faults.add(path, None, absent, COLUMNS_HINT)
            return
        number = 0
        for batch in file.iter_batches(batch_size=1000, columns=list(wanted) or None):
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record
