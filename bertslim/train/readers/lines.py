"""Plain text, one row per line, perhaps divided into columns by a pattern."""

import re
from collections.abc import Sequence
from pathlib import Path

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import Rows, absent_columns, decoded_lines
from bertslim.train.task import Layout


def read_lines(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield each line as the column `text`, or as the named groups of the pattern; blank ones not.

    A name without a group, like `text` in a file without a pattern, is an absent column.
    """
    pattern = re.compile(layout.pattern or "(?P<text>.*)")
    if absent := absent_columns(wanted, pattern.groupindex):
        hint = "the named groups of pattern in [data] are the columns of lines"
        faults.add(path, None, absent, hint)
        return
    for number, line in decoded_lines(path, layout, faults):
        if not line.strip():
            continue
        if match := pattern.fullmatch(line):
            yield number, match.groupdict(default="")
        else:
            faults.add(path, number, f"does not fit the pattern {layout.pattern}")
