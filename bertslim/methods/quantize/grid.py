"""The numbers that int8 can show, and rounding to them with a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bertslim.model.quantization import LEAST_STEP, LEVELS, UNSIGNED_LEVELS, Range

Scheme = Literal["symmetric", "unsigned"]
"""Of activations: int8 around 0, or uint8 with a zero point. Weights are symmetric in both."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The multiples low ... high of a step.

    The symmetric scheme of activations goes down to -128 steps, as ONNX's QuantizeLinear does.
    """

    step: float
    low: int
    high: int

    @classmethod
    def over(cls, found: Range, scheme: Scheme) -> "Grid":
        """Lay the grid of a scheme over a range."""
        if scheme == "symmetric":
            return cls(max(found.scale, LEAST_STEP), -LEVELS - 1, LEVELS)
        step, zero_point = found.unsigned
        return cls(step, -zero_point, UNSIGNED_LEVELS - zero_point)

    def rounded(self, x: Tensor) -> Tensor:
        """Return the nearest of the grid's numbers, fp32; the gradient passes straight through."""
        return _round(x.float(), self.step, self.low, self.high)


def rounded_rows(w: Tensor) -> Tensor:
    """Round every row of (rows, width) to a grid of its own, step = max |w| / 127 in the row."""
    step = (w.detach().abs().amax(dim=-1, keepdim=True) / LEVELS).clamp_(min=LEAST_STEP)
    return _round(w, step, -LEVELS, LEVELS)


class _Rounding(torch.autograd.Function):
    """s clip(round(x / s), low, high); the gradient is 1 inside and 0 where it was clipped.

    Straight-through (Bengio et al. 2013), as in Q8BERT (Zafrir et al. 2019).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor | float, low: int, high: int) -> Tensor:
        codes = x / step
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((codes >= low) & (codes <= high))
        return codes.round_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


_round: Callable[..., Tensor] = _Rounding.apply
