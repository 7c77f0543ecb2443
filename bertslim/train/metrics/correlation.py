"""Regression: do predicted scores go with the true ones?"""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
"""(examples,)."""


def pearson(true: Scores, predicted: Scores) -> float:
    """Return the linear correlation; 0 where either side is constant."""
    # A bootstrap asks a thousand times: scipy's p-value would take longer than the model.
    return float(np.corrcoef(true, predicted)[0, 1]) if _vary(true, predicted) else 0.0


def spearman(true: Scores, predicted: Scores) -> float:
    """Return the correlation of ranks, where equal scores share their mean rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(true), rankdata(predicted))


def _vary(*columns: Scores) -> bool:
    return all(np.ptp(column) > 0 for column in columns)
