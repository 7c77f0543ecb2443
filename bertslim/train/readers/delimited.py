"""CSV and TSV files, with or without quotes, with or without a header line."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import COLUMNS_HINT, Rows, absent_columns, decoded_lines
from bertslim.train.task import Layout

Cells = Iterator[tuple[int, list[str]]]


def read_csv(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield the rows of a file with commas; cells may be quoted unless `quoting = false`."""
    quoting = layout.quoting is not False
    return _rows(path, layout, wanted, faults, _cells(path, layout, faults, ",", quoting))


def read_tsv(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield the rows of a file with tabs; quotes are just characters unless `quoting = true`."""
    quoting = layout.quoting is True
    return _rows(path, layout, wanted, faults, _cells(path, layout, faults, "\t", quoting))


def _rows(
    path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog, cells: Cells
) -> Rows:
    header = list(layout.header)
    if not header:
        line, header = next(cells, (1, []))
        if not header:
            return
        if absent := absent_columns(wanted, header):
            faults.add(path, line, absent, COLUMNS_HINT)
            return
    for line, values in cells:
        if len(values) == len(header):
            yield line, dict(zip(header, values, strict=True))
        else:
            faults.add(path, line, f"{len(values)} columns where {len(header)} are named")


def _cells(path: Path, layout: Layout, faults: FaultLog, delimiter: str, quoting: bool) -> Cells:
    lines = decoded_lines(path, layout, faults)
    if quoting:
        return _quoted_cells(path, lines, faults, delimiter)
    return ((number, line.split(delimiter)) for number, line in lines if line)


def _quoted_cells(
    path: Path, lines: Iterator[tuple[int, str]], faults: FaultLog, delimiter: str
) -> Cells:
    """A quoted cell may hold newlines: a row is placed where it begins."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # whole documents stand in one cell
    reader = csv.reader((f"{line}\n" for _, line in lines), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.add(path, begin, *_explained(error))
            return
        if values:
            yield begin, values


def _explained(error: csv.Error) -> tuple[str, str]:
    """Return what is wrong, and the cure."""
    if "new-line" in str(error):
        return "a carriage return stands within a line", "let every line end in a newline"
    return (
        f"a quote is not closed or not doubled ({error})",
        "if quotes are ordinary characters in this file, set quoting = false in [data]",
    )
