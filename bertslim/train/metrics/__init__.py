"""Metrics, offline: each takes what was true and what was predicted, example by example.

All figures are fractions; but for `perplexity`, higher is better.
"""

from collections.abc import Callable

from bertslim.errors import DataError
from bertslim.train.metrics.agreement import accuracy, binary_f1, macro_f1, mcc
from bertslim.train.metrics.correlation import pearson, spearman
from bertslim.train.metrics.language import masked_accuracy, perplexity
from bertslim.train.metrics.spans import span_f1, span_precision, span_recall
from bertslim.train.metrics.squad import exact_match, overlap_f1

Metric = Callable[..., float]
"""Arrays with one row per example (true and predicted values, or counts) -> figure."""

METRICS: dict[str, dict[str, Metric]] = {
    "text-classification": {
        "accuracy": accuracy,
        "macro_f1": macro_f1,
        "f1": binary_f1,
        "mcc": mcc,
    },
    "text-regression": {"pearson": pearson, "spearman": spearman},
    "token-classification": {
        "span_f1": span_f1,
        "span_precision": span_precision,
        "span_recall": span_recall,
    },
    "question-answering": {"f1": overlap_f1, "exact_match": exact_match},
    "masked-lm": {"accuracy": masked_accuracy, "perplexity": perplexity},
}


def metrics_of(kind: str, metric: str, labels: int) -> dict[str, Metric]:
    """Return the metrics of a kind of task, `metric` first; `f1` only where there are two labels.

    Raises:
        DataError: `metric` is `f1`, and there are more labels than two.
    """
    metrics = dict(METRICS[kind])
    if kind == "text-classification" and labels != 2:
        del metrics["f1"]
    if metric not in metrics:
        raise DataError(
            f"metric f1 is about two labels, and there are {labels}",
            'set metric = "macro_f1" in the task file',
        )
    return {metric: metrics.pop(metric), **metrics}
