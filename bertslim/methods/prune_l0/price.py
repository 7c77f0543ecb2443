"""What open gates cost: a penalty for each, or a constraint on how much is to go.

Both take each gate's probability to be open and the number of steps taken, and return a scalar
that is added to the task's loss.
"""

import math

import torch
from torch import Tensor, nn

from bertslim.methods.prune_l0.gates import PerKind
from bertslim.methods.prune_l0.settings import Target
from bertslim.methods.prune_l0.sparsity import expected_sparsity
from bertslim.model.configuration import SlimBertConfig

RISE = 0.7
"""Part of the steps in which the target rises from 0 to what is wanted: gates can follow."""

PRESSURE = 5.0
"""The multipliers' rate is this, times the target, divided by the root of the number of steps.

AdamW moves them by about their rate at every step, whatever the gradient. With few steps gates
need strong pressure to arrive in time; with many, the same pressure would carry them too far.
"""


class Penalty(nn.Module):
    """lambda mean_i P(z_i > 0), for each kind of gate (McCarley et al. 2020, eq. 3).

    The paper's sum over gates is a mean here, so that one lambda serves models of every size: the
    paper's own four values are then all from 0.72 to 0.74.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, opened: PerKind, _steps: Tensor) -> Tensor:
        """Return lambda times the sum of the kinds' means."""
        means = [torch.cat(list(layers)).mean() for layers in opened.values()]
        return self.weight * torch.stack(means).sum()


class Constraint(nn.Module):
    """lambda_1 (s - t) + lambda_2 (s - t)^2, an augmented Lagrangian (CoFi, section 3.2).

    s is the expected sparsity. t rises linearly from 0 to what is wanted, then stays. The
    multipliers climb: they learn by gradient ascent.
    """

    def __init__(self, target: Target, config: SlimBertConfig, steps: int) -> None:
        super().__init__()
        self.target, self.config = target, config
        self.rising = max(1, round(RISE * steps))
        self.rate = PRESSURE * target.sparsity / math.sqrt(steps)
        self.multipliers = nn.Parameter(torch.zeros(2))

    def forward(self, opened: PerKind, steps: Tensor) -> Tensor:
        """Return the price of expecting too little, or too much, to go."""
        s = expected_sparsity(self.target.of, self.config, opened)
        t = self.target.sparsity * ((steps + 1) / self.rising).clamp(max=1)
        first, second = self.multipliers
        price: Tensor = first * (s - t) + second * (s - t).square()
        return price


Price = Penalty | Constraint
