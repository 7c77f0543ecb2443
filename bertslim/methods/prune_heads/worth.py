"""What a part is worth when only its best units are left."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The units of a part, the best first.

    Attributes:
        order: (units,), their numbers.
        worth: (units + 1,), of the first n of them; only differences mean something.
    """

    order: Tensor
    worth: Floats

    def kept(self, width: int) -> Tensor:
        """Return (units,), True for the `width` best."""
        mask = torch.zeros(len(self.order), dtype=torch.bool)
        mask[self.order[:width]] = True
        return mask


def best_first(importance: Tensor) -> Ranking:
    """Rank units that are each worth something of their own, whatever becomes of the others."""
    order = importance.argsort(descending=True, stable=True)
    worth = importance[order].double().cumsum(0).numpy()
    return Ranking(order, np.concatenate([np.zeros(1), worth]))
