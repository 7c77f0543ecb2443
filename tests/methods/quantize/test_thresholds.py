import math

import pytest
import torch
from torch import Tensor

from bertslim.errors import SettingsError
from bertslim.methods.quantize.grid import Grid
from bertslim.methods.quantize.histogram import Histogram
from bertslim.methods.quantize.thresholds import (
    Calibration,
    clipped,
    divergences,
    entropy_threshold,
    levels_of,
    mse_threshold,
    percentile_threshold,
    slide_bins,
)
from bertslim.model.quantization import LEVELS

METHODS = ["entropy", "percentile", "mse", "minmax"]


def counted(x: Tensor) -> Histogram:
    histogram = Histogram()
    histogram.add(x)
    return histogram


def normal(count: int = 200_000) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0))


def migacz(h: list[int], levels: int = 128) -> list[float]:
    """The loop of the slides, word by word."""
    found = []
    for i in range(levels, len(h) + 1):
        reference = [float(count) for count in h[:i]]
        reference[i - 1] += sum(h[i:])
        candidate = [0.0] * i
        for level in range(levels):
            bins = [b for b in range(i) if b * levels // i == level]
            filled = [b for b in bins if reference[b] > 0]
            for b in filled:
                candidate[b] = sum(h[b] for b in bins) / len(filled)
        found.append(kullback_leibler(reference, candidate))
    return found


def kullback_leibler(reference: list[float], candidate: list[float]) -> float:
    total, other = sum(reference), sum(candidate)
    divergence = 0.0
    for p, q in zip(reference, candidate, strict=True):
        if p > 0 and q * other == 0:
            return math.inf
        if p > 0:
            divergence += p / total * math.log(p / total / (q / other))
    return divergence


def histograms() -> list[list[int]]:
    """Dense, with gaps, with far outliers, and with nothing near 0."""
    generator = torch.Generator().manual_seed(0)
    dense = torch.randint(1, 1000, (300,), generator=generator)
    gaps = dense * (torch.rand(300, generator=generator) < 0.3)
    far = torch.cat([dense[:140], torch.zeros(159, dtype=torch.int64), torch.tensor([2])])
    late = torch.cat([torch.zeros(200, dtype=torch.int64), dense[:100]])
    return [h.tolist() for h in (dense, gaps, far, late)]


def diverging(h: Tensor, levels: int = 128) -> Tensor:
    return divergences(h, torch.full((len(h) - 127,), levels))


@pytest.mark.parametrize("levels", [128, 200, 256])
@pytest.mark.parametrize("h", histograms(), ids=["dense", "gaps", "far", "late"])
def test_divergences_are_those_of_the_slides(h: list[int], levels: int) -> None:
    found = diverging(torch.tensor(h), levels)
    expected = torch.tensor(migacz(h, levels), dtype=torch.float64)
    torch.testing.assert_close(found[levels - 128 :], expected, rtol=1e-9, atol=1e-12)
    assert found[: levels - 128].isinf().all()
    assert int(found.argmin()) == levels - 128 + int(expected.argmin())


def test_every_candidate_has_levels_of_its_own() -> None:
    h = torch.tensor(histograms()[0])
    levels = torch.arange(len(h) - 127).div(2, rounding_mode="floor") + 128
    found = divergences(h, levels)
    for n in (0, 7, len(levels) - 1):
        assert found[n] == pytest.approx(float(diverging(h, int(levels[n]))[n]), abs=1e-12)


def test_clipped_mass_counts_against_the_candidate() -> None:
    """Of uniform counts nothing is to be clipped: P would pile it up in its last bin."""
    d = diverging(torch.full((256,), 10))
    assert int(d.argmin()) == 256 - 128
    assert d[-1] == pytest.approx(0, abs=1e-12)
    assert torch.all(d[:-1] > 0)


def test_bins_of_the_slides_reach_up_to_the_peak() -> None:
    x = normal()
    h, peak = slide_bins(counted(x)), float(x.abs().max())
    expected = torch.histc(x.abs().double(), 2048, 0, peak)
    assert h.sum() == len(x)
    # the finer bins that lie across an edge go to one side of it
    assert float((h - expected).abs().sum()) < 0.03 * len(x)
    assert h[2047] > 0


def test_entropy_clips_planted_outliers_and_keeps_the_rest() -> None:
    x = normal()
    alone = entropy_threshold(counted(x), "symmetric")
    both = torch.cat([x, torch.tensor([60.0, -55.0])])
    planted = entropy_threshold(counted(both), "symmetric")
    assert 3.5 < alone < float(x.abs().max()) + 0.01
    assert 3.5 < planted < 6


def test_entropy_knows_the_grid() -> None:
    """Of what GELU leaves an unsigned one has twice the levels; of both signs alike it has none."""
    x = torch.nn.functional.gelu(2 * normal(50_000))
    histogram, even = counted(x), counted(torch.cat([x, -x]))
    levels = levels_of(histogram, "unsigned")
    for n, t in ((0, 128.5 / 2048 * histogram.peak), (-1, histogram.peak)):
        step, _ = clipped(histogram, t).unsigned
        assert 190 < int(levels[n]) == int(t / step) + 1 <= 256
    assert levels_of(even, "unsigned").unique().tolist() == [128]

    def error(t: float) -> float:
        grid = Grid.over(clipped(histogram, t), "unsigned")
        return float((grid.rounded(x) - x).square().mean())

    fine, coarse = (entropy_threshold(histogram, scheme) for scheme in ("unsigned", "symmetric"))
    assert error(fine) < 0.5 * error(coarse)
    assert entropy_threshold(even, "unsigned") == entropy_threshold(even, "symmetric")


def test_entropy_keeps_outliers_that_are_part_of_the_distribution() -> None:
    x = torch.cat([normal(1000), torch.full((1000,), 60.0)])
    assert Calibration("entropy").range_of(counted(x)).high == 60


@pytest.mark.parametrize("percentile", [50.0, 99.0, 99.99])
def test_a_percentile_leaves_that_many_unclipped(percentile: float) -> None:
    x = normal()
    t = percentile_threshold(counted(x), percentile)
    assert t == pytest.approx(float(x.abs().double().quantile(percentile / 100)), abs=1e-3)
    assert float((x.abs() <= t).double().mean()) * 100 >= percentile - 1e-9


def test_all_of_a_hundred_is_minmax() -> None:
    histogram = counted(normal())
    assert Calibration("percentile", 100).threshold(histogram) == histogram.peak


def test_mse_finds_the_threshold_of_least_error() -> None:
    x = torch.cat([normal(50_000), torch.tensor([40.0])]).double()

    def error(t: float) -> float:
        s = t / LEVELS
        return float((x - (x / s).round().clamp(-LEVELS, LEVELS) * s).square().mean())

    t = mse_threshold(counted(x.float()), "symmetric")
    assert 4 < t < 40
    best = min(error(candidate) for candidate in torch.linspace(1, 40, 400).tolist())
    assert error(t) <= best * 1.02


def test_mse_knows_the_grid() -> None:
    """An unsigned one has twice the levels for what GELU leaves, and clips less."""
    x = torch.nn.functional.gelu(2 * normal(50_000))
    histogram = counted(x)

    def error(t: float) -> float:
        grid = Grid.over(clipped(histogram, t), "unsigned")
        return float((grid.rounded(x) - x).square().mean())

    t = mse_threshold(histogram, "unsigned")
    assert t > mse_threshold(histogram, "symmetric")
    best = min(error(candidate) for candidate in torch.linspace(1, 12, 200).tolist())
    assert error(t) <= best * 1.05


@pytest.mark.parametrize("method", METHODS)
def test_ranges_stop_where_the_values_stop(method: str) -> None:
    """What GELU leaves below 0 is small, and an unsigned scheme need not reach further."""
    x = torch.nn.functional.gelu(normal())
    found = Calibration(method).range_of(counted(x))
    assert found.low == float(x.min())
    assert 1 < found.high <= float(x.max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(3.0, 0.0, 3.0), (-3.0, -3.0, 0.0), (1e-4, 0.0, 2.0**-13), (0.0, 0.0, 2.0**-13)],
)
def test_a_constant_has_a_range_with_0_in_it(
    method: str, value: float, low: float, high: float
) -> None:
    found = Calibration(method).range_of(counted(torch.full((7,), value)))
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("method", METHODS)
def test_few_values_have_a_range_near_them(method: str) -> None:
    found = Calibration(method).range_of(counted(torch.tensor([-0.5, 0.25, 1.0])))
    assert found.low == -0.5
    assert 0.5 <= found.high <= 1


@pytest.mark.parametrize("method", METHODS)
def test_no_values_at_all_have_a_range(method: str) -> None:
    assert Calibration(method).range_of(Histogram()).scale > 0


@pytest.mark.parametrize("percentile", [0, -1, 100.5])
def test_impossible_percentiles_are_refused(percentile: float) -> None:
    with pytest.raises(SettingsError, match="--percentile"):
        Calibration("percentile", percentile)
