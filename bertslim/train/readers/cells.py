"""Lines of a text file that tabs or single spaces divide."""

from collections.abc import Iterator
from pathlib import Path

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import decoded_lines
from bertslim.train.task import Layout


def cells(path: Path, faults: FaultLog) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbers and cells of lines that are not blank."""
    for number, line in filled_lines(path, faults):
        yield number, line.split("\t" if "\t" in line else " ")


def filled_lines(path: Path, faults: FaultLog) -> Iterator[tuple[int, str]]:
    """Yield the numbers of lines that are not blank, and the lines without spaces at their end."""
    try:
        for number, line in decoded_lines(path, Layout(), faults):
            if line.strip():
                yield number, line.rstrip(" ")
    except OSError as error:
        faults.add(path, None, f"cannot be read ({error.strerror})")
