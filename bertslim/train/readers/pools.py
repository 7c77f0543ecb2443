"""Unlabelled pools of text: what a student can learn from a teacher alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datasets import Dataset, Features, Value

from bertslim.train.readers.arrow import arrow_dataset, columns_of
from bertslim.train.readers.canonical import text_columns
from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.files import READERS, file_rows, numbered
from bertslim.train.readers.rows import Record
from bertslim.train.task import Task, format_of
from bertslim.train.task_schema import TABLES


def read_unlabelled(task: Task, paths: Sequence[Path], title: str = "unlabelled data") -> Dataset:
    """Read texts without labels: columns `id`, `text`, and `text_pair` if the task has pairs.

    Formats are told by extension. The texts stand in the task's own text columns or in columns
    `text` and `text_pair`; each file may choose. Any amount can be read: it is never all in RAM.

    Args:
        task: Whose columns the texts may stand in.
        paths: The files.
        title: What faults are told under.

    Raises:
        DataError: with file and line of what is wrong.
    """
    pool = replace(task, layout=replace(task.layout, format="", header=(), pattern=""))
    own = {role: task.columns[role] for role in ("text", "text_pair") if role in task.columns}
    own = own or {"text": "text"}
    faults = FaultLog()
    rows = (row for path in paths for row in _pool_rows(pool, path, own, faults))
    types = {"id": Value("int64"), **dict.fromkeys(own, Value("string"))}
    data = arrow_dataset(columns_of(numbered(rows)), Features(types))
    faults.raise_if_any(title)
    return data


def _pool_rows(
    pool: Task, path: Path, own: Mapping[str, str], faults: FaultLog
) -> Iterator[Record]:
    if not path.is_file():
        faults.add(path, None, "no such file")
    elif format_of(path, pool.layout) not in TABLES:
        faults.add(path, None, f"the extension is none of {', '.join(TABLES)} or txt")
    else:
        existing = _existing_columns(pool, path)
        has_own = all(column in existing for column in own.values())
        columns = dict(own) if has_own else {role: role for role in own}
        named = replace(pool, columns=columns)
        yield from file_rows(named, path, tuple(columns.values()), text_columns, faults)


def _existing_columns(pool: Task, path: Path) -> Sequence[str]:
    """Look at the first row; its faults are for the real reading to find."""
    read = READERS[format_of(path, pool.layout)]
    _, record = next(read(path, pool.layout, (), FaultLog()), (0, {}))
    return list(record)
