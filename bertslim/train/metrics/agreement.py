"""Classification: how often, and how evenly, predicted classes are the true ones."""

from typing import Any

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.integer[Any]]
"""Class ids: (examples,)."""

POSITIVE = 1
"""The class that `binary_f1` is about: the second label."""


def accuracy(true: Classes, predicted: Classes) -> float:
    """Return the share of examples whose class was found."""
    return float(np.mean(true == predicted))


def macro_f1(true: Classes, predicted: Classes) -> float:
    """Return the mean F1 of all classes that are true or predicted somewhere."""
    matrix = confusion(true, predicted)
    seen = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    return float(_f1_per_class(matrix)[seen].mean())


def binary_f1(true: Classes, predicted: Classes) -> float:
    """Return the F1 of the second label, as GLUE does for MRPC and QQP."""
    return float(_f1_per_class(confusion(true, predicted, POSITIVE + 1))[POSITIVE])


def mcc(true: Classes, predicted: Classes) -> float:
    """Return Matthews' correlation, for any number of classes; 0 where it is not defined."""
    # R_K (Gorodkin 2004): (c s - t.p) / sqrt((s^2 - p.p)(s^2 - t.t)), with c the correct and s all
    # examples, t how often each class is true, p how often it is predicted.
    matrix = confusion(true, predicted).astype(np.float64)
    t, p = matrix.sum(axis=1), matrix.sum(axis=0)  # (classes,)
    s, c = matrix.sum(), matrix.trace()
    spread = np.sqrt((s**2 - p @ p) * (s**2 - t @ t))
    return float((c * s - t @ p) / spread) if spread > 0 else 0.0


def confusion(true: Classes, predicted: Classes, classes: int = 0) -> npt.NDArray[np.int64]:
    """Return how often each true class (row) was taken for each class (column)."""
    classes = max(classes, int(max(true.max(), predicted.max())) + 1)
    pairs = true.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _f1_per_class(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    # F1 = 2 TP / (true + predicted); 0 for a class that never occurs.
    total = matrix.sum(axis=0) + matrix.sum(axis=1)  # (classes,)
    f1: npt.NDArray[np.float64] = 2 * matrix.diagonal() / np.maximum(total, 1)
    return f1
