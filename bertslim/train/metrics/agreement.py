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
    # A bootstrap asks a thousand times: scikit-learn's checks would take longer than the model.
    return float(np.mean(true == predicted))


def macro_f1(true: Classes, predicted: Classes) -> float:
    """Return the mean F1 of all classes that are true or predicted somewhere."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, average="macro", zero_division=0))


def binary_f1(true: Classes, predicted: Classes) -> float:
    """Return the F1 of the second label, as GLUE does for MRPC and QQP."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, pos_label=POSITIVE, zero_division=0))


def mcc(true: Classes, predicted: Classes) -> float:
    """Return Matthews' correlation, for any number of classes; 0 where it is not defined."""
    from sklearn.metrics import matthews_corrcoef

    one_class = np.ptp(np.concatenate([true, predicted])) == 0
    return 0.0 if one_class else float(matthews_corrcoef(true, predicted))
