"""Smoothing: outliers in some channels of an activation move into the weights (Xiao et al. 2023).

Activations share one scale, weights have one for every output. A group of linear layers with one
input computes (X / s) (W * s)^T. The division stands before the group's own rounding: in a post-LN
model the same tensor goes on as the residual, which keeps it as it is, so that nothing has to be
made good elsewhere, and LayerNorm's gamma is not touched.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bertslim.methods.quantize.grid import Grid, Scheme, rounded_rows
from bertslim.methods.quantize.histogram import LARGEST, Histogram
from bertslim.methods.quantize.thresholds import Calibration

ALPHAS = (0.5, 0.65, 0.8, 0.9, 1.0)
"""What is tried: 0.5 is the paper's, 1 makes all channels of the activation equally large."""

WORTHWHILE = 0.5
"""Smoothing costs a multiplication at run time: the error has to fall at least to this part."""

SAMPLE = 512
"""Tokens that the error is measured on."""

LARGEST_FACTOR = 2.0**8


class Channels:
    """What smoothing has to know of an input: its largest values, and some tokens of it.

    Attributes:
        largest: max |X_j| over all tokens, (in,).
        tokens: A random choice of up to `SAMPLE` of all tokens, (tokens, in).
    """

    def __init__(self) -> None:
        self.largest = self.tokens = self._priority = torch.empty(0)
        self._random = torch.Generator().manual_seed(0)

    def add(self, x: Tensor) -> None:
        """Look at more tokens, (tokens, in).

        Raises:
            OverflowError: If a value is not a finite number, or as good as infinite.
        """
        largest = x.abs().amax(dim=0)
        if not float(largest.max()) < LARGEST / LARGEST_FACTOR:
            raise OverflowError(f"values up to {float(largest.max())}")
        if not len(self.tokens):
            self.largest, self.tokens = torch.zeros_like(largest), x[:0]
        self.largest = torch.maximum(self.largest, largest)
        # those of highest priority so far are a fair choice, however many are still to come
        drawn = torch.rand(len(x), generator=self._random)
        priority = torch.cat([self._priority, drawn])
        self._priority, kept = priority.topk(min(SAMPLE, len(priority)))
        self.tokens = torch.cat([self.tokens, x])[kept.to(x.device)]


def smoothing_factors(
    seen: Mapping[str, Channels],
    groups: Mapping[str, Sequence[nn.Linear]],
    calibration: Calibration,
    scheme: Scheme,
) -> dict[str, Tensor]:
    """Choose s, (in,), for each group that it serves; the others are left out.

    Args:
        seen: What the groups' inputs are like, by group.
        groups: The linear layers with that input.
        calibration: How the ranges of X / s will be chosen.
        scheme: Of activations.
    """
    found = {}
    for name, layers in groups.items():
        weights = [layer.weight.detach().float() for layer in layers]
        s = _best(seen[name], weights, calibration, scheme)
        if s is not None:
            found[name] = s
    return found


def factors(largest: Tensor, weights: Sequence[Tensor], alpha: float) -> Tensor:
    """Return s_j = max |X_j|^alpha / max |W_j|^(1 - alpha), (in,), of geometric mean 1 (Eq. 4).

    Channels without values or without weights are left alone.

    Args:
        largest: max |X_j|, (in,).
        weights: Those of all layers with that input, (out, in) each.
        alpha: How much of the difficulty goes to the weights.
    """
    largest_w = torch.cat(list(weights)).abs().amax(dim=0)  # (in,)
    alive = (largest > 0) & (largest_w > 0)
    s = largest**alpha / largest_w ** (1 - alpha)
    s = s / s[alive].log().mean().exp()
    return torch.where(alive, s.clamp(1 / LARGEST_FACTOR, LARGEST_FACTOR), 1.0)


def output_error(
    x: Tensor, weights: Sequence[Tensor], s: Tensor, calibration: Calibration, scheme: Scheme
) -> float:
    """Return the mean over layers of |Y - Y_int8|^2 / |Y|^2, Y = X W^T, X of (tokens, in)."""
    histogram = Histogram()
    histogram.add(x / s)
    x_int8 = Grid.over(calibration.range_of(histogram, scheme), scheme).rounded(x / s)
    errors = []
    for w in weights:
        y = x @ w.T  # (tokens, out)
        difference = y - x_int8 @ rounded_rows(w * s).T
        errors.append(float(difference.square().sum() / y.square().sum().clamp(min=1e-30)))
    return sum(errors) / len(errors)


def _best(
    seen: Channels, weights: Sequence[Tensor], calibration: Calibration, scheme: Scheme
) -> Tensor | None:
    x = seen.tokens.float()
    candidates = [factors(seen.largest.float(), weights, alpha) for alpha in ALPHAS]

    def error(s: Tensor) -> float:
        return output_error(x, weights, s, calibration, scheme)

    plain = error(torch.ones_like(candidates[0]))
    best = min(candidates, key=error)
    return best if error(best) < WORTHWHILE * plain else None
