"""From the files of a task to data sets in canonical columns."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.compute
from datasets import Dataset, Features, Value

from bertslim.errors import DataError
from bertslim.train.readers.arrow import arrow_dataset, columns_of
from bertslim.train.readers.canonical import CANONICAL, Canonical, features, text_columns
from bertslim.train.readers.conll import read_conll
from bertslim.train.readers.delimited import read_csv, read_tsv
from bertslim.train.readers.faults import FaultLog, RowFaultError
from bertslim.train.readers.hub import read_hub
from bertslim.train.readers.jsonl import read_jsonl
from bertslim.train.readers.lines import read_lines
from bertslim.train.readers.parquet import read_parquet
from bertslim.train.readers.rows import Reader, Record, Rows
from bertslim.train.readers.squad import read_squad
from bertslim.train.task import Split, Task, format_of
from bertslim.train.task_schema import ROLES, TABLES

READERS: dict[str, Reader] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "lines": read_lines,
    "conll": read_conll,
    "squad": read_squad,
}


def read_split(task: Task, split: Split) -> Dataset:
    """Read one split in the canonical columns of the task's kind.

    Columns: `id` (row number from 0) and text[, text_pair], label (str, or float for regression) |
    tokens, tags | question, context, answers {text, answer_start} | text. With `task.labels` set,
    other labels are faults.

    Raises:
        DataError: with file and line of what is wrong.
    """
    faults = FaultLog()
    rows = _numbered(_split_rows(task, split, faults))
    data = arrow_dataset(columns_of(rows), features(task))
    faults.raise_if_any(f"{split} data of task {task.name}")
    return data


def read_task(task: Task) -> tuple[Dataset, Dataset, tuple[str, ...]]:
    """Read training data, validation data and labels; validation may hold no label of its own.

    Raises:
        DataError: with file and line of what is wrong.
    """
    train = read_split(task, "train")
    labels = label_names(task, train)
    return train, read_split(replace(task, labels=labels), "validation"), labels


def read_unlabelled(task: Task, paths: Sequence[Path]) -> Dataset:
    """Read a pool of texts without labels: columns `id`, `text` and perhaps `text_pair`.

    Formats are told by extension. The texts stand in the task's text columns, or in a column `text`
    where the task has none (tagged words, questions).

    Raises:
        DataError: with file and line of what is wrong.
    """
    given = {role: task.columns[role] for role in ("text", "text_pair") if role in task.columns}
    layout = replace(task.layout, format="", header=(), pattern="")
    pool = replace(task, columns=given or {"text": "text"}, layout=layout)
    faults = FaultLog()
    rows = (row for path in paths for row in _file_rows(pool, path, text_columns, faults))
    types = {"id": Value("int64"), **dict.fromkeys(pool.columns, Value("string"))}
    data = arrow_dataset(columns_of(_numbered(rows)), Features(types))
    faults.raise_if_any("unlabelled data")
    return data


def label_names(task: Task, train: Dataset) -> tuple[str, ...]:
    """Return the labels in the order of their ids: the task's own, else sorted from training data.

    Numbers are sorted as numbers. Regression, questions and masked words have none.

    Raises:
        DataError: when there are not two labels to choose between.
    """
    column = {"text-classification": "label", "token-classification": "tags"}.get(task.kind)
    if task.labels or column is None:
        return task.labels
    values = train.with_format("arrow")[:][column]
    flat = values if column == "label" else pyarrow.compute.list_flatten(values)
    found: list[str] = pyarrow.compute.unique(flat).to_pylist()
    if len(found) < 2:
        raise DataError(
            f"training data of task {task.name} holds one label only: {', '.join(found)}",
            "check the label column in [columns]",
        )
    return tuple(sorted(found, key=float) if all(map(_is_number, found)) else sorted(found))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split_rows(task: Task, split: Split, faults: FaultLog) -> Iterator[Record]:
    canonical = CANONICAL[task.kind]
    if task.hub:
        rows = read_hub(task.hub, split, _wanted(task), faults)
        yield from _checked(task, Path(task.hub.name), rows, canonical, faults)
        return
    if not task.paths(split):
        raise DataError(
            f"task {task.name} names no {split} data", f"set {split} under [data] in the task file"
        )
    for path in task.paths(split):
        yield from _file_rows(task, path, canonical, faults)


def _wanted(task: Task) -> tuple[str, ...]:
    """Source columns in the order of the kind's roles; a pair of texts counts as two."""
    roles = (*ROLES[task.kind], "text_pair")
    return tuple(task.columns[role] for role in roles if role in task.columns)


def _file_rows(
    task: Task, path: Path, canonical: Canonical, faults: FaultLog
) -> Iterator[Record]:
    form = format_of(path, task.layout)
    if canonical is text_columns and form not in TABLES:
        faults.add(path, None, f"the extension is none of {', '.join(TABLES)} or txt")
        return
    try:
        rows = READERS[form](path, task.layout, _wanted(task), faults)
        yield from _checked(task, path, rows, canonical, faults)
    except OSError as error:
        faults.add(path, None, f"cannot be read ({error.strerror})")


def _checked(
    task: Task, path: Path, rows: Rows, canonical: Canonical, faults: FaultLog
) -> Iterator[Record]:
    """Yield canonical rows and note faulty ones; a file without any row at all is a fault, too."""
    before, place = faults.count, None
    for place, record in rows:
        try:
            yield canonical(record, task)
        except RowFaultError as fault:
            faults.add(path, place, str(fault))
    if place is None and faults.count == before:
        faults.add(path, None, "holds no rows")


def _numbered(rows: Iterator[Record]) -> Iterator[Record]:
    for number, row in enumerate(rows):
        yield {"id": number, **row}
