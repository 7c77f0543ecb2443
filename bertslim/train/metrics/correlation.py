"""Regression: do predicted scores go with the true ones?"""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
"""(examples,)."""


def pearson(true: Scores, predicted: Scores) -> float:
    """Return the linear correlation; 0 where either side is constant."""
    x, y = true - true.mean(), predicted - predicted.mean()
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread > 0 else 0.0


def spearman(true: Scores, predicted: Scores) -> float:
    """Return the correlation of ranks, where equal scores share their mean rank."""
    return pearson(ranks(true), ranks(predicted))


def ranks(values: Scores) -> Scores:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: Scores = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[place]
