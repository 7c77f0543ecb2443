"""What a model's outputs amount to, example by example: the arrays that metrics take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from bertslim.train.answers import Answer, best_answer
from bertslim.train.batching import IGNORED_LABEL, Row
from bertslim.train.metrics.spans import span_counts
from bertslim.train.metrics.squad import question_outcome
from bertslim.train.task import Task

Array = npt.NDArray[Any]
RowOutputs = Iterable[tuple[Row, Mapping[str, Array]]]
"""Encoded rows, in any order, each with its own outputs (without the batch dimension)."""

Outcomes = tuple[Array, ...]
"""Aligned arrays, one row per example in the order of `example`."""


def classes(outputs: RowOutputs, _data: Dataset, task: Task, labels: Sequence[str]) -> Outcomes:
    """Return true and predicted classes, numbered as the task orders them, not as the model does.

    Labels that the task does not name come last.
    """
    order = list(dict.fromkeys((*task.labels, *labels)))
    places = np.array([order.index(label) for label in labels])  # (labels,)
    pairs = {row["example"]: (row["labels"], out["logits"].argmax()) for row, out in outputs}
    return tuple(places[_in_order(pairs)].T)


def scores(outputs: RowOutputs, _data: Dataset, _task: Task, _labels: Sequence[str]) -> Outcomes:
    """Return true and predicted scores."""
    pairs = {row["example"]: (row["labels"], out["logits"].item()) for row, out in outputs}
    return tuple(_in_order(pairs).T)


def spans(outputs: RowOutputs, data: Dataset, _task: Task, labels: Sequence[str]) -> Outcomes:
    """Return per sentence the entities found, predicted and there; words cut off are tagged O."""
    tags = data["tags"][:]
    counts = {}
    for row, out in outputs:
        true = tags[row["example"]]
        predicted = ["O"] * len(true)
        for word, label in zip(row["words"], _tags(row, out), strict=True):
            predicted[word] = labels[label]
        counts[row["example"]] = span_counts(true, predicted)
    return (_in_order(counts),)


def _tags(row: Row, out: Mapping[str, Array]) -> Array:
    """(words,): chosen together, or the likeliest of each."""
    labelled = np.array(row["labels"]) != IGNORED_LABEL  # (length,)
    tags: Array = out["tags"] if "tags" in out else out["logits"].argmax(axis=-1)
    return np.asarray(tags[: len(labelled)][labelled])


def questions(outputs: RowOutputs, data: Dataset, task: Task, _labels: Sequence[str]) -> Outcomes:
    """Return per question exact match and F1 of the answer over all pieces of its context."""
    found: dict[int, Answer] = {}
    for row, out in outputs:
        offsets = np.array(row["offsets"], dtype=np.int32)  # (length, 2)
        start, end = (out[name][: len(offsets)] for name in ("start_logits", "end_logits"))
        answer = best_answer(start, end, offsets, task.max_answer_length)
        example = row["example"]
        found[example] = found[example].or_better(answer) if example in found else answer
    contexts, true = data["context"][:], [answers["text"] for answers in data["answers"][:]]
    threshold = task.null_threshold
    if threshold is None and not all(true):
        threshold = 0.0
    texts = {at: answer.text(contexts[at], threshold) for at, answer in found.items()}
    return (_in_order({at: question_outcome(text, true[at]) for at, text in texts.items()}),)


def masked_words(
    outputs: RowOutputs, _data: Dataset, _task: Task, _labels: Sequence[str]
) -> Outcomes:
    """Return per chunk the summed loss, and how many masked words were guessed and there."""
    losses = {row["example"]: _guesses(row["labels"], out["logits"]) for row, out in outputs}
    return (_in_order(losses),)


def _guesses(labels: Array, logits: Array) -> tuple[float, int, int]:
    places = np.flatnonzero(labels != IGNORED_LABEL)  # (masked,)
    true, chosen = labels[places], logits[places].astype(np.float64)  # (masked, vocabulary)
    # -log softmax(z)_t = log sum exp(z - m) + m - z_t, m = max z
    top = chosen.max(axis=1)
    partition = np.log(np.exp(chosen - top[:, None]).sum(axis=1)) + top
    surprise = partition - chosen[np.arange(len(true)), true]
    return float(surprise.sum()), int((chosen.argmax(axis=1) == true).sum()), len(true)


def _in_order(by_example: Mapping[int, Any]) -> Array:
    return np.array([by_example[example] for example in sorted(by_example)])


OUTCOMES: dict[str, Callable[[RowOutputs, Dataset, Task, Sequence[str]], Outcomes]] = {
    "text-classification": classes,
    "text-regression": scores,
    "token-classification": spans,
    "question-answering": questions,
    "masked-lm": masked_words,
}
