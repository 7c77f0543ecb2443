"""From the files of a task to data sets in canonical columns."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.compute
from datasets import Dataset

from bertslim.errors import DataError
from bertslim.train.metrics import metrics_of
from bertslim.train.readers.arrow import arrow_dataset, columns_of
from bertslim.train.readers.canonical import CANONICAL, features
from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.files import checked, file_rows, numbered
from bertslim.train.readers.hub import hub_classes, read_hub
from bertslim.train.readers.rows import Record
from bertslim.train.task import Task
from bertslim.train.task_schema import ROLES, Split

LABEL_ROLES = {"text-classification": "label", "token-classification": "tags"}
"""Where the labels stand, of the kinds of task whose outputs stand for named labels."""


def read_split(task: Task, split: Split) -> Dataset:
    """Read one split in the canonical columns of the task's kind.

    Columns: `id` (row number from 0) and text[, text_pair], label (str, or float for regression) |
    tokens, tags | question, context, answers {text, answer_start} | text. With `task.labels` set,
    other labels are faults.

    Raises:
        DataError: with file and line of what is wrong.
    """
    faults = FaultLog()
    rows = numbered(_split_rows(task, split, faults))
    data = arrow_dataset(columns_of(rows), features(task))
    faults.raise_if_any(f"{split} data of task {task.name}")
    return data


def label_names(task: Task, train: Dataset) -> tuple[str, ...]:
    """Return the labels in the order of their ids: as declared, else sorted from training data.

    Regression, questions and masked words have none.

    Raises:
        DataError: there are not two labels to choose between, or too many for the metric.
    """
    if task.kind not in LABEL_ROLES:
        return ()
    labels = declared_labels(task) or sorted_labels(_found_labels(task, train))
    if len(labels) < 2:
        raise DataError(
            f"training data of task {task.name} holds one label only: {', '.join(labels)}",
            "check the label column in [columns]",
        )
    metrics_of(task.kind, task.metric, len(labels))
    return labels


def declared_labels(task: Task) -> tuple[str, ...]:
    """Return the labels of the task file, else the classes of the hub data set, else ().

    Raises:
        DataError: the hub data set cannot be had.
    """
    if task.labels or task.hub is None:
        return task.labels
    return hub_classes(task.hub, task.columns[LABEL_ROLES[task.kind]])


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort labels; as numbers if they all are."""
    found = sorted(labels)
    return tuple(sorted(found, key=float) if all(map(_is_number, found)) else found)


def _found_labels(task: Task, train: Dataset) -> list[str]:
    values = train.with_format("arrow")[:][LABEL_ROLES[task.kind]]
    flat = pyarrow.compute.list_flatten(values) if task.kind == "token-classification" else values
    found: list[str] = pyarrow.compute.unique(flat).to_pylist()
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _split_rows(task: Task, split: Split, faults: FaultLog) -> Iterator[Record]:
    canonical = CANONICAL[task.kind]
    if task.hub and task.hub.split(split):
        rows = read_hub(task.hub, split, _wanted(task), faults)
        yield from checked(task, Path(task.hub.name), rows, canonical, faults)
    elif not task.paths(split):
        raise DataError(
            f"task {task.name} names no {split} data", f"set {split} under [data] in the task file"
        )
    for path in task.paths(split):
        yield from file_rows(task, path, _wanted(task), canonical, faults)


def _wanted(task: Task) -> tuple[str, ...]:
    """Source columns in the order of the kind's roles; a pair of texts counts as two."""
    roles = (*ROLES[task.kind], "text_pair")
    return tuple(task.columns[role] for role in roles if role in task.columns)
