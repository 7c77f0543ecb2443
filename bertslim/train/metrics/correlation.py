"""Regression: do predicted scores go with the true ones?"""

import numpy as np
import numpy.typing as npt
from scipy import stats

Scores = npt.NDArray[np.float64]
"""(examples,)."""


def pearson(true: Scores, predicted: Scores) -> float:
    """Return the linear correlation; 0 where either side is constant."""
    return float(stats.pearsonr(true, predicted).statistic) if _vary(true, predicted) else 0.0


def spearman(true: Scores, predicted: Scores) -> float:
    """Return the correlation of ranks, where equal scores share their mean rank."""
    return float(stats.spearmanr(true, predicted).statistic) if _vary(true, predicted) else 0.0


def _vary(*columns: Scores) -> bool:
    return all(np.ptp(column) > 0 for column in columns)
