"""Word vectors in a text file, as GloVe and word2vec write them, and word lists with tags."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import decoded_lines
from bertslim.train.task import Layout

UTF8 = Layout(format="", encoding="utf-8", header=(), quoting=None, pattern="", token_prefix="")

WordVectors = tuple[tuple[str, ...], npt.NDArray[np.float32]]


def read_vectors(path: Path, most: int) -> WordVectors:
    """Read the first words of a file and their vectors, (words, channels).

    A first line of two numbers, as word2vec has it, is passed over; so are entries of several
    words, which the largest GloVe file holds.

    Raises:
        DataError: with file and line of what is wrong.
    """
    faults = FaultLog()
    words: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    for number, cells in islice(_cells(path, faults), most + 1):
        if number == 1 and len(cells) == 2:
            continue
        size = len(rows[0]) if rows else len(cells) - 1
        row = _numbers(cells[-size:]) if len(cells) > size > 0 else None
        if row is None or not np.isfinite(row).all():
            fault = f"not a word and {size} numbers" if rows else "not a word and numbers"
            faults.add(path, number, fault, "give GloVe's text format")
        elif len(cells) == size + 1:
            words.append(cells[0])
            rows.append(row)
    if not rows and not faults.count:
        faults.add(path, None, "holds no vectors")
    faults.raise_if_any("--vectors")
    return tuple(words[:most]), np.stack(rows[:most])


def read_tags(path: Path) -> dict[str, str]:
    """Read words and their tags, a pair a line; of several tags of a word the first counts.

    Raises:
        DataError: with file and line of what is wrong.
    """
    faults = FaultLog()
    tags: dict[str, str] = {}
    for number, cells in _cells(path, faults):
        if len(cells) == 2:
            tags.setdefault(cells[0].lower(), cells[1])
        else:
            faults.add(path, number, f"{len(cells)} columns where a word and its tag are wanted")
    if not tags and not faults.count:
        faults.add(path, None, "holds no words")
    faults.raise_if_any("--lexicon")
    return tags


def _cells(path: Path, faults: FaultLog) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbers and cells of lines that are not blank; tabs or single spaces divide."""
    try:
        for number, line in decoded_lines(path, UTF8, faults):
            if line.strip():
                yield number, line.rstrip(" ").split("\t" if "\t" in line else " ")
    except OSError as error:
        faults.add(path, None, f"cannot be read ({error.strerror})")


def _numbers(cells: list[str]) -> npt.NDArray[np.float32] | None:
    try:
        return np.array(cells, np.float32)
    except ValueError:
        return None
