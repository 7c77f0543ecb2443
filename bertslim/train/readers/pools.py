"""Unlabelled pools of text: what a student can learn from a teacher alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value

from bertslim.errors import DataError
from bertslim.train.readers.arrow import arrow_dataset, columns_of
from bertslim.train.readers.canonical import Canonical, text_columns, untagged
from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.files import READERS, file_rows, numbered
from bertslim.train.readers.rows import Record
from bertslim.train.task import Task, format_of
from bertslim.train.task_schema import TABLES


def read_unlabelled(task: Task, paths: Sequence[Path], title: str = "unlabelled data") -> Dataset:
    """Read texts without labels: columns `id`, `text`, and `text_pair` if the task has pairs.

    Formats are told by extension. The texts stand in the task's own text columns or in columns
    `text` and `text_pair`; each file may choose. Any amount can be read: it is never all in RAM.

    Where words are tagged, the columns are `id` and `tokens`: lists of words in the task's own
    column, or texts in a column `text`, which are cut at spaces.

    Args:
        task: Whose columns the texts may stand in.
        paths: The files.
        title: What faults are told under.

    Raises:
        DataError: with file and line of what is wrong.
    """
    pool = replace(task, layout=replace(task.layout, format="", header=(), pattern=""))
    form = _form(task)
    faults = FaultLog()
    rows = (row for path in paths for row in _pool_rows(pool, path, form, faults))
    types = {"id": Value("int64"), **dict.fromkeys(form.own, form.value)}
    data = arrow_dataset(columns_of(numbered(rows)), Features(types))
    faults.raise_if_any(title)
    _refuse_blank(data, paths, title)
    return data


@dataclass(frozen=True, slots=True)
class _Form:
    """Where a row of a pool stands, and what is made of it."""

    own: Mapping[str, str]
    """The task's columns by role,"""
    usual: Mapping[str, str]
    """and those of files that have others."""
    canonical: Canonical
    value: Any


def _form(task: Task) -> _Form:
    if task.kind == "token-classification":
        own = {"tokens": task.columns["tokens"]}
        return _Form(own, {"tokens": "text"}, untagged, List(Value("string")))
    own = {role: task.columns[role] for role in ("text", "text_pair") if role in task.columns}
    own = own or {"text": "text"}
    return _Form(own, {role: role for role in own}, text_columns, Value("string"))


def _refuse_blank(data: Dataset, paths: Sequence[Path], title: str) -> None:
    """Refuse a pool in which nothing is written."""
    column = "text" if "text" in data.column_names else "tokens"
    if not any("".join(text).strip() for text in data[column]):
        names = ", ".join(map(str, paths))
        raise DataError(
            f"{title}: every text in {names} is blank", "name the column with the texts"
        )


def _pool_rows(pool: Task, path: Path, form: _Form, faults: FaultLog) -> Iterator[Record]:
    if not path.is_file():
        faults.add(path, None, "no such file")
    elif format_of(path, pool.layout) not in TABLES:
        faults.add(
            path,
            None,
            f"the extension is none of {', '.join(TABLES)} or txt",
            "call a file with a text a line NAME.txt",
        )
    else:
        existing = _existing_columns(pool, path)
        has_own = all(column in existing for column in form.own.values())
        columns = dict(form.own if has_own else form.usual)
        named = replace(pool, columns=columns)
        yield from file_rows(named, path, tuple(columns.values()), form.canonical, faults)


def _existing_columns(pool: Task, path: Path) -> Sequence[str]:
    """Look at the first row; its faults are for the real reading to find."""
    read = READERS[format_of(path, pool.layout)]
    _, record = next(read(path, pool.layout, (), FaultLog()), (0, {}))
    return list(record)
