"""The checked rows of one data file, whatever its format."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bertslim.train.readers.canonical import Canonical
from bertslim.train.readers.conll import read_conll
from bertslim.train.readers.delimited import read_csv, read_tsv
from bertslim.train.readers.faults import FaultLog, RowFaultError
from bertslim.train.readers.jsonl import read_jsonl
from bertslim.train.readers.lines import read_lines
from bertslim.train.readers.parquet import read_parquet
from bertslim.train.readers.rows import Reader, Record, Rows
from bertslim.train.readers.squad import read_squad
from bertslim.train.task import Task, format_of

READERS: dict[str, Reader] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "lines": read_lines,
    "conll": read_conll,
    "squad": read_squad,
}


def file_rows(
    task: Task, path: Path, wanted: Sequence[str], canonical: Canonical, faults: FaultLog
) -> Iterator[Record]:
    """Yield the canonical rows of a file; what is wrong is noted."""
    read = READERS[format_of(path, task.layout)]
    try:
        rows = read(path, task.layout, wanted, faults)
        yield from checked(task, path, rows, canonical, faults)
    except OSError as error:
        faults.add(path, None, f"cannot be read ({error.strerror or error})")


def checked(
    task: Task, path: Path, rows: Rows, canonical: Canonical, faults: FaultLog
) -> Iterator[Record]:
    """Yield canonical rows and note faulty ones; a file without any row at all is a fault, too."""
    before, place = faults.count, None
    for place, record in rows:
        try:
            yield canonical(record, task)
        except RowFaultError as fault:
            faults.add(path, place, str(fault))
    if place is None and faults.count == before:
        faults.add(path, None, "holds no rows", "give a file that has some")


def numbered(rows: Iterator[Record]) -> Iterator[Record]:
    """Give each row its number as `id`."""
    for number, row in enumerate(rows):
        yield {"id": number, **row}
