"""What every reader yields, and the decoding that readers of text share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bertslim.train.readers.faults import FaultLog
from bertslim.train.task import Layout

Place = int | str
Record = dict[str, Any]
Rows = Iterator[tuple[Place, Record]]
"""Where a row stands (its line number), and its values by column."""

Reader = Callable[[Path, Layout, Sequence[str], FaultLog], Rows]
"""Path, layout, wanted columns, where faults go -> rows. Faulty rows are noted and left out."""

ENCODING_HINT = (
    'a file that is not UTF-8 needs encoding = "latin-1", say, in [data], or a copy made by iconv'
)
COLUMNS_HINT = "name columns in [columns]; for a file without a header line, set header in [data]"


def decoded_lines(path: Path, layout: Layout, faults: FaultLog) -> Iterator[tuple[int, str]]:
    """Yield line numbers and lines without their line ends.

    Lines that cannot be decoded are noted, and yielded with a replacement for what is wrong. Only a
    newline ends a line: data sets do hold the other characters that Unicode calls line ends.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode(layout.encoding)
            except UnicodeDecodeError as error:
                fault = f"byte {line[error.start]:#04x} is not {layout.encoding}"
                faults.add(path, number, fault, ENCODING_HINT)
                text = line.decode(layout.encoding, errors="replace")
            if number == 1:
                text = text.removeprefix("\ufeff")  # byte order mark
            yield number, text.rstrip("\r\n")


def absent_columns(wanted: Sequence[str], existing: Iterable[str]) -> str:
    """Say which wanted columns do not exist, or stand there twice; "" when each does once."""
    columns = list(existing)
    if twice := [name for name in wanted if columns.count(name) > 1]:
        return f"two columns {' and '.join(map(repr, twice))}"
    absent = [name for name in wanted if name not in columns]
    if not absent:
        return ""
    noun = "column" if len(absent) == 1 else "columns"
    names = " and ".join(map(repr, absent))
    return f"no {noun} {names}; there are {', '.join(map(repr, columns))}"
