"""Tables of texts, written so that the readers of tasks and pools read back what was meant."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet

from bertslim.errors import SettingsError
from bertslim.train.readers.arrow import columns_of

Row = dict[str, str | float]
Types = Mapping[str, type]
"""The columns in their order: `str` or `float`."""


def write_table(path: Path, rows: Iterable[Row], types: Types, encoding: str = "utf-8") -> None:
    """Write rows as they come; the extension tells the format.

    Args:
        path: Ends in .jsonl, .csv or .parquet.
        rows: Each with all the columns.
        types: Of the columns.
        encoding: Of CSV. JSON lines are plain ASCII, which every encoding reads alike.

    Raises:
        SettingsError: If the encoding lacks a character.
    """
    WRITERS[path.suffix](path, rows, types, encoding)


def _write_jsonl(path: Path, rows: Iterable[Row], _types: Types, _encoding: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _write_csv(path: Path, rows: Iterable[Row], types: Types, encoding: str) -> None:
    try:
        with path.open("w", encoding=encoding, newline="") as file:
            # in quotes all of it: a carriage return outside of them is no text to any reader
            writer = csv.DictWriter(
                file, list(types), lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
            )
            writer.writeheader()
            writer.writerows(rows)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise SettingsError(
            f"{character!r} cannot be written in {encoding}, the encoding of the task's files",
            "take --format jsonl or parquet, which hold any character",
        ) from error


def _write_parquet(path: Path, rows: Iterable[Row], types: Types, _encoding: str) -> None:
    arrow = {str: pyarrow.string(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, arrow[kind]) for name, kind in types.items()])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for columns in columns_of(rows):
            writer.write_table(pyarrow.table(columns, schema))


WRITERS: dict[str, Callable[[Path, Iterable[Row], Types, str], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
