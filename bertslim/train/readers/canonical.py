"""From a record of any format to the canonical columns of a kind of task, checked."""

import math
import re
from collections.abc import Callable
from typing import Any

from datasets import Features, List, Value

from bertslim.train.readers.faults import RowFaultError
from bertslim.train.readers.rows import Record
from bertslim.train.task import Task
from bertslim.train.task_schema import is_bio_tag

Canonical = Callable[[Record, Task], Record]

HALF = re.compile("[\ud800-\udfff]")
"""A surrogate without its other half, as a text has that was cut within an emoji."""


def features(task: Task) -> Features:
    """Return names and types of the canonical columns."""
    text = {name: Value("string") for name in ("text", "text_pair") if name in task.columns}
    kinds = {
        "text-classification": {**text, "label": Value("string")},
        "text-regression": {**text, "label": Value("float64")},
        "token-classification": {"tokens": List(Value("string")), "tags": List(Value("string"))},
        "question-answering": {
            "question": Value("string"),
            "context": Value("string"),
            "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
        },
        "masked-lm": text,
    }
    return Features({"id": Value("int64"), **kinds[task.kind]})


def text_columns(record: Record, task: Task) -> Record:
    """Return the text, and the second one of a pair."""
    roles = [role for role in ("text", "text_pair") if role in task.columns]
    return {role: _string(record[task.columns[role]], task.columns[role]) for role in roles}


def classified(record: Record, task: Task) -> Record:
    """Return text and class; numbers and truth values become their text."""
    column = task.columns["label"]
    value = record[column]
    if isinstance(value, list | dict):
        raise RowFaultError(f"{column} is {value!r}, which is not one class")
    label = "" if _is_gap(value) else _string(str(value), column).strip()
    if not label:
        raise RowFaultError(f"{column} is empty")
    if task.labels and label not in task.labels:
        raise RowFaultError(f"{column} {label!r} is not among the labels {', '.join(task.labels)}")
    return {**text_columns(record, task), "label": label}


def scored(record: Record, task: Task) -> Record:
    """Return text and a finite number."""
    column = task.columns["label"]
    value = record[column]
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise RowFaultError(f"{column} {value!r} is not a number")
    return {**text_columns(record, task), "label": score}


def tagged(record: Record, task: Task) -> Record:
    """Return tokens and their BIO tags."""
    tokens, tags = (record[task.columns[role]] for role in ("tokens", "tags"))
    if not (_is_strings(tokens) and _is_strings(tags) and len(tokens) == len(tags) > 0):
        raise RowFaultError("tokens and tags must be equally long lists of words")
    if unknown := sorted({tag for tag in tags if not _is_known_tag(tag, task.labels)}):
        known = ", ".join(task.labels) or "O, B-TYPE or I-TYPE"
        raise RowFaultError(f"tag {' and '.join(map(repr, unknown))}: must be {known}")
    return {"tokens": tokens, "tags": tags}


def untagged(record: Record, task: Task) -> Record:
    """Return words without tags; a text is cut at its spaces."""
    column = task.columns["tokens"]
    value = record[column]
    tokens = value.split() if isinstance(value, str) else value
    if not (_is_strings(tokens) and tokens):
        raise RowFaultError(f"{column} is {value!r}, which is neither a text nor words")
    return {"tokens": tokens}


def asked(record: Record, task: Task) -> Record:
    """Return question, context and the answers, each of which must stand where it claims to."""
    question, context, answers = (
        record[task.columns[role]] for role in ("question", "context", "answers")
    )
    texts, starts = _answer_lists(answers)
    _string(question, task.columns["question"])
    _string(context, task.columns["context"])
    for text, start in zip(texts, starts, strict=True):
        found = context[max(start, 0) : max(start, 0) + len(text)]
        if not text or start < 0 or found != text:
            raise RowFaultError(f"answer {text!r} is not at {start}, where {found!r} stands")
    answers = {"text": texts, "answer_start": starts}
    return {"question": question, "context": context, "answers": answers}


CANONICAL: dict[str, Canonical] = {
    "text-classification": classified,
    "text-regression": scored,
    "token-classification": tagged,
    "question-answering": asked,
    "masked-lm": text_columns,
}


def _string(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise RowFaultError(f"{column} is {value!r}, which is not a text")
    if HALF.search(value):
        raise RowFaultError(f"{column} is {value!r}, which holds half a character")
    return value


def _is_gap(value: Any) -> bool:
    """Whether a cell is empty; a column of numbers says so with NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_strings(value: Any) -> bool:
    """Whether these are words: texts that are not empty, nor cut within a character."""
    words = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
    return words and not any(map(HALF.search, value))


def _is_known_tag(tag: str, labels: tuple[str, ...]) -> bool:
    return tag in labels if labels else is_bio_tag(tag)


def _answer_lists(answers: Any) -> tuple[list[str], list[int]]:
    try:
        texts, starts = list(answers["text"]), list(answers["answer_start"])
    except (KeyError, TypeError):
        texts, starts = [], [0]
    well_typed = all(isinstance(text, str) for text in texts)
    if len(texts) != len(starts) or not well_typed or not all(type(s) is int for s in starts):
        raise RowFaultError("answers must hold equally long lists text and answer_start")
    return texts, starts
