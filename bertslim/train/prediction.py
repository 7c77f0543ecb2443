"""Scores a model, whatever runs it, on the data of a task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from bertslim.console import track
from bertslim.errors import BertslimError
from bertslim.model.running import Decode
from bertslim.model.signature import INPUTS
from bertslim.train.batching import (
    IGNORED_LABEL,
    Row,
    collate,
    length_buckets,
    row_lengths,
    rows_at,
)
from bertslim.train.encoding import Masking, mask_by_number
from bertslim.train.metrics import Metric, metrics_of
from bertslim.train.outcomes import OUTCOMES, Outcomes, RowOutputs
from bertslim.train.task import Task

Array = npt.NDArray[Any]
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Any runtime: a padded batch of model inputs -> named outputs."""

RESAMPLES = 1000
VOCABULARY_WIDE_ROWS = 4
"""Rows per batch of masked-lm, whose outputs are as wide as the vocabulary."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good a model is at a task."""

    metrics: dict[str, float]
    """All metrics of the task's kind."""
    metric: str
    """The one that decides; higher is better."""
    value: float
    low: float
    """Lower end of the bootstrap's 95 % confidence interval,"""
    high: float
    """and its upper end."""
    examples: int


def score(
    run: Run,
    encoded: Dataset,
    data: Dataset,
    task: Task,
    labels: Sequence[str],
    *,
    batch_size: int = 32,
    pad_token_id: int = 0,
    masking: Masking | None = None,
    decode: Decode | None = None,
    resamples: int = RESAMPLES,
) -> Score:
    """Run all rows in batches of near-equal length and compare with what is true.

    Args:
        run: the model.
        encoded: what `encode` made of `data`.
        data: canonical rows, which hold the true tags and answers.
        task: gives the kind, the metric, the metric's order of labels, and how answers are picked.
        labels: in the order of the model's outputs.
        batch_size: rows per call of `run`.
        pad_token_id: what fills short rows.
        masking: for masked-lm, where each chunk is always masked alike.
        decode: how logits become tags; None: each word has the likeliest.
        resamples: of the bootstrap; 0 leaves the interval at the value itself.

    Raises:
        BertslimError: an output is not a finite number.
    """
    if masking is not None:
        batch_size = min(batch_size, VOCABULARY_WIDE_ROWS)
    batches = row_batches(encoded, batch_size, masking, "evaluating")
    outputs = row_outputs(run, batches, pad_token_id, decode)
    outcomes = OUTCOMES[task.kind](outputs, data, task, labels)
    functions = metrics_of(task.kind, task.metric, len(labels))
    metrics = {name: function(*outcomes) for name, function in functions.items()}
    value = metrics[task.metric]
    low, high = value, value
    if resamples:
        low, high = confidence_interval(functions[task.metric], outcomes, resamples=resamples)
    return Score(metrics, task.metric, value, low, high, len(outcomes[0]))


def row_outputs(
    run: Run, batches: Iterator[list[Row]], pad_token_id: int, decode: Decode | None = None
) -> RowOutputs:
    """Yield each row with its raw outputs; those per token still reach over the padding.

    Where a sentence's tags are chosen together, these are an output as well: `tags`.

    Raises:
        BertslimError: an output is not a finite number.
    """
    for rows in batches:
        batch = collate(rows, pad_token_id)
        outputs = run({name: batch[name] for name in INPUTS if name in batch})
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise BertslimError(
                    f"the model's {name} are not all finite numbers",
                    "in fp16 or int8 this is overflow: keep more in float",
                )
        if decode is not None:
            words = batch["labels"] != IGNORED_LABEL  # (batch, length)
            outputs = {**outputs, "tags": decode(outputs["logits"], words)}
        for place, row in enumerate(rows):
            yield row, {name: values[place] for name, values in outputs.items()}


def row_batches(
    encoded: Dataset, batch_size: int, masking: Masking | None, description: str
) -> Iterator[list[Row]]:
    """Yield all rows in batches of near-equal length, masked by their number; show progress."""
    buckets = length_buckets(row_lengths(encoded), batch_size, seed=0, epoch=0)
    for bucket in track(buckets, description):
        rows = rows_at(encoded, bucket)
        yield rows if masking is None else [mask_by_number(row, masking) for row in rows]


def confidence_interval(
    metric: Metric, outcomes: Outcomes, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap of a metric over examples (Efron 1979)."""
    random = np.random.default_rng(seed)
    count = len(outcomes[0])
    values = []
    for _ in range(resamples):
        drawn = random.integers(count, size=count)  # (examples,)
        values.append(metric(*(column[drawn] for column in outcomes)))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
