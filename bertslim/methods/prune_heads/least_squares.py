"""Linear least squares over any number of rows, in the memory of one batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """y = a W + b.

    Attributes:
        weight: W, (inputs, outputs).
        bias: b, (outputs,).
    """

    weight: Tensor
    bias: Tensor


@dataclass(slots=True, eq=False)
class Sums:
    """All that least squares need to know of rows a (inputs,) and what they should give, y.

    Attributes:
        aa: Sum of a a^T, (inputs, inputs).
        ay: Sum of a y^T, (inputs, outputs).
        yy: Sum of y^2, (outputs,).
        a: Sum of a.
        y: Sum of y.
        rows: How many.
    """

    aa: Tensor
    ay: Tensor
    yy: Tensor
    a: Tensor
    y: Tensor
    rows: int = 0

    @classmethod
    def empty(cls, inputs: int, outputs: int, device: torch.device) -> Self:
        """Make sums over no rows, in float64."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        square, product = zeros(inputs, inputs), zeros(inputs, outputs)
        return cls(square, product, zeros(outputs), zeros(inputs), zeros(outputs))

    def add(self, a: Tensor, y: Tensor) -> None:
        """Take in rows: (rows, inputs) and (rows, outputs)."""
        self.aa += a.T @ a
        self.ay += a.T @ y
        self.yy += y.square().sum(dim=0)
        self.a += a.sum(dim=0)
        self.y += y.sum(dim=0)
        self.rows += len(a)

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.aa + other.aa,
            self.ay + other.ay,
            self.yy + other.yy,
            self.a + other.a,
            self.y + other.y,
            self.rows + other.rows,
        )

    def error(self, found: Map, importance: Tensor) -> float:
        """Return the mean over rows of sum_c importance_c (a W + b - y)_c^2."""
        w, b = found.weight, found.bias
        squares = (w * (self.aa @ w)).sum(dim=0) - 2 * (w * self.ay).sum(dim=0) + self.yy
        squares += self.rows * b.square() + 2 * b * (self.a @ w - self.y)
        return float((squares.clamp(min=0) @ importance) / max(1, self.rows))

    def spread(self, importance: Tensor) -> float:
        """Return the error of the best constant: how much there is to explain."""
        return self.error(Map(torch.zeros_like(self.ay), self.y / max(1, self.rows)), importance)


def projection(sums: Sums, before: Map, ridge: float) -> Map:
    """Set W and b anew.

    (A^T A + lambda I) (W - W_0) = A^T (Y - A W_0),  lambda = ridge * mean(diag(A^T A))

    with the means of a and y taken out, so that b is free. The ridge draws towards the weights as
    they were, W_0.
    """
    mean_a, mean_y = sums.a / sums.rows, sums.y / sums.rows
    aa = sums.aa - torch.outer(sums.a, mean_a)
    ay = sums.ay - torch.outer(sums.a, mean_y)
    change = torch.linalg.solve(_damped(aa, ridge), ay - aa @ before.weight)
    weight = before.weight + change
    return Map(weight, mean_y - mean_a @ weight)


def scaling(sums: Sums, before: Map, ridge: float, channels: int) -> Map:
    """Give each unit one factor, which is multiplied into its weights.

    With unit i's share of the output, a_i W_i, as column i of M, over all rows and outputs:

    (M^T M + lambda I) (s - 1) = M^T (y - b - M 1),  M^T M = (A^T A) o (W W^T)

    summed up over the channels of each unit. The ridge draws the factors towards 1.

    Args:
        sums: Of the rows.
        before: W and b; b stays.
        ridge: As for `projection`.
        channels: Of a unit; they are neighbours.
    """
    units = len(before.weight) // channels
    mm = (sums.aa * (before.weight @ before.weight.T)).view(units, channels, units, channels)
    mm = mm.sum(dim=(1, 3))  # (units, units)
    my = ((sums.ay - torch.outer(sums.a, before.bias)) * before.weight).sum(dim=1)
    my = my.view(units, channels).sum(dim=1)  # (units,)
    scale = 1 + torch.linalg.solve(_damped(mm, ridge), my - mm.sum(dim=1))
    return Map(before.weight * scale.repeat_interleave(channels)[:, None], before.bias)


def best_of(candidates: Sequence[Map], held_out: Sums, importance: Tensor) -> Map:
    """Return the one with the least error on rows that none was fitted to; the first of equals."""
    return min(candidates, key=lambda found: held_out.error(found, importance))


def _damped(gram: Tensor, ridge: float) -> Tensor:
    """Add lambda to the diagonal; of no inputs nothing is left to add it to."""
    size = len(gram)
    # where all inputs are constant there is nothing to solve for, and any lambda will do
    lam = ridge * float(gram.diagonal().sum()) / max(1, size) or 1.0
    return gram + lam * torch.eye(size, dtype=gram.dtype, device=gram.device)
