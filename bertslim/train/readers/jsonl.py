"""JSON lines: one object per line."""

import json
from collections.abc import Sequence
from pathlib import Path

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import COLUMNS_HINT, Rows, absent_columns, decoded_lines
from bertslim.train.task import Layout


def read_jsonl(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield the objects of a file; blank lines are skipped."""
    for number, line in decoded_lines(path, layout, faults):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(path, number, f"not JSON: {error.msg} at column {error.colno}")
            continue
        except (ValueError, RecursionError) as error:  # too long a number, or too deep
            faults.add(path, number, f"JSON that cannot be read: {error}")
            continue
        if not isinstance(record, dict):
            faults.add(path, number, "not a JSON object")
        elif absent := absent_columns(wanted, record):
            faults.add(path, number, absent, COLUMNS_HINT)
        else:
            yield number, record
