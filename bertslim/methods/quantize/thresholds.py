"""From a histogram to the magnitude above which int8 clips, and to the range that is left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bertslim.errors import SettingsError
from bertslim.methods.quantize.grid import Grid, Scheme
from bertslim.methods.quantize.histogram import BINS, SMALLEST, Histogram
from bertslim.model.quantization import UNSIGNED_LEVELS, Range

KL_BINS, KL_LEVELS = 2048, 128
"""Of Migacz's search: bins up to the largest magnitude, and levels of int8, its fewest bins."""

TIE = 1e-9
"""Divergences that differ by no more are equal."""

MSE_CANDIDATES, MSE_OCTAVES = 128, 8
"""Thresholds that `mse` tries: so many, at equal ratios, from the peak down to a 2^8th of it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a range is chosen.

    Attributes:
        method: `entropy` (Migacz 2017), `percentile`, `mse`, or `minmax`, which clips nothing.
        percentile: How many values of a hundred `percentile` leaves as they are.
    """

    method: Literal["entropy", "percentile", "mse", "minmax"]
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 100:
            raise SettingsError(
                f"--percentile {self.percentile} leaves nothing to calibrate on",
                "it lies above 0 and up to 100; 99.99 is usual",
            )

    def range_of(self, histogram: Histogram, scheme: Scheme = "symmetric") -> Range:
        """Return where the values lie once |x| is clipped to the threshold; 0 is inside."""
        return clipped(histogram, self.threshold(histogram, scheme))

    def threshold(self, histogram: Histogram, scheme: Scheme = "symmetric") -> float:
        """Return T, so that |x| <= T is what int8 shows; at most the peak."""
        rules: Mapping[str, Callable[[Histogram], float]] = {
            "entropy": lambda histogram: entropy_threshold(histogram, scheme),
            "percentile": lambda histogram: percentile_threshold(histogram, self.percentile),
            "mse": lambda histogram: mse_threshold(histogram, scheme),
            "minmax": lambda histogram: histogram.peak,
        }
        return min(rules[self.method](histogram), histogram.peak)


def clipped(histogram: Histogram, t: float) -> Range:
    """Return where the values lie once |x| is clipped to T; 0 is inside."""
    low = min(max(histogram.low, -t), 0.0)
    high = max(min(histogram.high, t), 0.0)
    # all zeros have every range; a scale of 0 is none
    return Range(low, high if max(-low, high) >= SMALLEST else SMALLEST)


def entropy_threshold(histogram: Histogram, scheme: Scheme) -> float:
    """Return T = (m + 1/2) w, where the first m bins lose least when they become a grid's levels.

    The slides' histogram has 2048 bins of width w = max |x| / 2048.
    """
    if histogram.peak == 0:
        return 0.0
    d = divergences(slide_bins(histogram), levels_of(histogram, scheme))
    # of few values, one alone may look like all of them: what is clipped in vain is not clipped
    m = KL_LEVELS + int((d <= d.min() + TIE).nonzero().max())
    return (m + 0.5) * histogram.peak / KL_BINS


def levels_of(histogram: Histogram, scheme: Scheme) -> Tensor:
    """Return how many levels a grid has for |x| up to each T = (i + 1/2) w, i = 128 ... 2048.

    Those of the slides are 128. An unsigned grid has as many where both signs reach T, and up to
    256 where one of them hardly occurs: the multiples from 0 to T of its step, (high - low) / 255.
    """
    i = torch.arange(KL_LEVELS, KL_BINS + 1)  # (candidates,)
    if scheme == "symmetric":
        return torch.full_like(i, KL_LEVELS)
    t = ((i.double() + 0.5) * (histogram.peak / KL_BINS)).clamp(max=histogram.peak)
    below, above = (t.clamp(max=max(end, 0.0)) for end in (-histogram.low, histogram.high))
    # what arithmetic took from a whole number is put back
    return (t * UNSIGNED_LEVELS / (below + above) + 1e-9).long() + 1


def slide_bins(histogram: Histogram) -> Tensor:
    """Divide the magnitudes into bins from 0 to the largest of them: (2048,), int64."""
    middles = torch.arange(BINS, dtype=torch.float64) + 0.5
    places = middles * (histogram.limit / BINS) / (histogram.peak / KL_BINS)
    counts = torch.zeros(KL_BINS, dtype=torch.int64)
    return counts.index_add_(0, places.long().clamp_(max=KL_BINS - 1), histogram.counts)


def divergences(h: Tensor, levels: Tensor) -> Tensor:
    """Return D_i for clipping after i = 128 ... 2048 bins (Migacz 2017); the last clips nothing.

    P is h[:i], with all that is clipped in its last bin. Q is h[:i] without it, summed up in k_i
    equal groups, each spread evenly over those of its bins that are not empty in P. Both are
    normalised, and nothing is smoothed: D_i is infinite where Q is 0 and P is not, and where there
    are fewer bins than levels.

    Args:
        h: (bins,), counts.
        levels: k, (candidates,); 128 each in the slides.
    """
    h = h.double()
    i = torch.arange(KL_LEVELS, len(h) + 1)  # (candidates,)
    total, kept = _sums(h), _sums(h > 0)  # (bins + 1,)
    clipped = total[-1] - total[i]  # (candidates,)
    # bin b is in group g = floor(k b / i), which therefore begins at b = ceil(g i / k)
    g, k = torch.arange(int(levels.max()) + 1), levels[:, None]
    begins = (g * i[:, None] + k - 1).div(k, rounding_mode="floor").minimum(i[:, None])
    q = total[begins].diff()  # (candidates, most levels), of each group; behind the last one 0
    filled = kept[begins].diff()
    last = k - 1
    p = q.scatter_add(1, last, clipped[:, None])
    filled.scatter_add_(1, last, ((clipped > 0) & (h[i - 1] == 0)).double()[:, None])

    # N D = sum_b P_b log P_b - N log N - sum_g P_g log(Q_g / filled_g) + N log sum(Q)
    n, sum_q = total[-1], total[i]
    p_log_p = _sums(torch.xlogy(h, h))[i - 1] + torch.xlogy(h[i - 1] + clipped, h[i - 1] + clipped)
    p_log_q = torch.xlogy(p, q / filled.clamp(min=1)).sum(dim=1)
    d = p_log_p - torch.xlogy(n, n) - p_log_q + n * sum_q.log()
    return torch.where((sum_q > 0) & (levels <= i), d / n, torch.inf)


def percentile_threshold(histogram: Histogram, percentile: float) -> float:
    """Return the upper end of the bin that holds the percentile of |x|."""
    total = histogram.counts.cumsum(0)
    place = torch.searchsorted(total, total[-1] * (percentile / 100))
    return (int(place) + 1) * histogram.limit / BINS


def mse_threshold(histogram: Histogram, scheme: Scheme) -> float:
    """Return the T of least expected squared error, of clipping and of rounding to a grid."""
    filled = histogram.counts.nonzero().squeeze(1)
    x = (filled.double() + 0.5) * (histogram.limit / BINS)  # (filled bins,)
    weight = histogram.counts[filled].double()
    ratio = 2 ** (-MSE_OCTAVES / MSE_CANDIDATES)
    candidates = [histogram.peak * ratio**k for k in range(MSE_CANDIDATES)]
    steps = {t: Grid.over(clipped(histogram, t), scheme).step for t in candidates}
    return min(steps, key=lambda t: float(weight @ _squared_error(x, t, steps[t])))


def _squared_error(x: Tensor, t: float, s: float) -> Tensor:
    """(x - s min(round(x / s), round(t / s)))^2, of magnitudes on the multiples of s up to t."""
    return (x - (x / s).round_().clamp_(max=round(t / s)).mul_(s)).square_()


def _sums(counts: Tensor) -> Tensor:
    """Return the sums over the first 0, 1, 2 ... elements: (n + 1,), float64."""
    sums: Tensor = torch.nn.functional.pad(counts.double().cumsum(0), (1, 0))
    return sums
