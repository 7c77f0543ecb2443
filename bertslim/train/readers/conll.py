"""CoNLL files: one token per line, a blank line after each sentence."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import COLUMNS_HINT, Rows, absent_columns, decoded_lines
from bertslim.train.task import Layout

DOCUMENT_MARK = "-DOCSTART-"
Line = tuple[int, list[str]]


def read_conll(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield sentences as the wanted columns of tokens and tags, placed at their first line.

    Without a header in the task file, tokens stand in the first column and tags in the last.
    """
    tokens_name, tags_name = wanted
    first, last = 0, -1
    if layout.header:
        if absent := absent_columns((tokens_name, tags_name), layout.header):
            faults.add(path, None, absent, COLUMNS_HINT)
            return
        first, last = layout.header.index(tokens_name), layout.header.index(tags_name)
    for sentence in _sentences(path, layout, faults):
        tokens = [cells[first].removeprefix(layout.token_prefix) for _, cells in sentence]
        tags = [cells[last] for _, cells in sentence]
        yield sentence[0][0], {tokens_name: tokens, tags_name: tags}


def _sentences(path: Path, layout: Layout, faults: FaultLog) -> Iterator[list[Line]]:
    """Yield the lines of each sentence; lines with another number of columns are noted."""
    sentence: list[Line] = []
    width = len(layout.header)
    for number, line in decoded_lines(path, layout, faults):
        cells = _cells(line)
        if not cells:
            if sentence:
                yield sentence
            sentence = []
            continue
        width = width or max(2, len(cells))
        if len(cells) == width:
            sentence.append((number, cells))
        else:
            faults.add(path, number, f"{len(cells)} columns where {width} are usual")
    if sentence:
        yield sentence


def _cells(line: str) -> list[str]:
    """Split at tabs, else at spaces: tokens may hold other white space. [] ends a sentence."""
    if not line.strip(" \t") or line.startswith(DOCUMENT_MARK):
        return []
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
