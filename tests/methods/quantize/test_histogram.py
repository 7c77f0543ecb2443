import math

import pytest
import torch
from torch import Tensor

from bertslim.methods.quantize.histogram import BINS, SMALLEST, Histogram


def counted(*parts: Tensor) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def values() -> Tensor:
    """Magnitudes over 12 powers of two, small ones first, the largest last."""
    generator = torch.Generator().manual_seed(0)
    growing = torch.linspace(-6, 6, 4096).exp2()
    return torch.randn(4096, generator=generator) * growing


@pytest.mark.parametrize("parts", [2, 7, 4096])
@pytest.mark.parametrize("order", [1, -1])
def test_counts_do_not_depend_on_how_the_values_are_divided_and_ordered(
    parts: int, order: int
) -> None:
    whole, streamed = counted(values()), counted(*values().chunk(parts)[::order])
    assert torch.equal(streamed.counts, whole.counts)
    assert streamed.limit == whole.limit
    assert (streamed.low, streamed.high) == (whole.low, whole.high)


def test_bins_are_of_equal_width_and_hold_every_value() -> None:
    x, histogram = values(), counted(values())
    assert histogram.limit / 2 <= float(x.abs().max()) < histogram.limit
    edges = torch.linspace(0, histogram.limit, BINS + 1, dtype=torch.float64)
    expected = torch.histogram(x.abs().double(), edges).hist
    assert torch.equal(histogram.counts, expected.long())
    assert int(histogram.counts.sum()) == len(x)


def test_smallest_and_largest_are_exact() -> None:
    histogram = counted(torch.tensor([0.1, -7.3]), torch.tensor([[2.5], [11.7]]))
    assert histogram.low == float(torch.tensor(-7.3))
    assert histogram.high == histogram.peak == float(torch.tensor(11.7))


def test_a_power_of_two_begins_a_bin() -> None:
    """A value at the limit itself would otherwise fall off the end."""
    histogram = counted(torch.tensor([SMALLEST]), torch.tensor([1.0]))
    assert histogram.limit == 2.0
    assert histogram.counts[BINS // 2] == 1
    assert histogram.counts[int(SMALLEST * BINS / 2)] == 1


def test_an_empty_tensor_is_nothing() -> None:
    histogram = counted(torch.empty(0, 8))
    assert histogram.peak == 0
    assert int(histogram.counts.sum()) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e38])
def test_what_is_not_finite_is_refused_and_not_counted(bad: float) -> None:
    histogram = counted(torch.ones(3))
    with pytest.raises(OverflowError, match="values from"):
        histogram.add(torch.tensor([1.0, bad, 2.0]))
    assert int(histogram.counts.sum()) == 3
    assert histogram.peak == 1


def test_bf16_is_counted_as_it_is() -> None:
    x = values().bfloat16()
    assert torch.equal(counted(x).counts, counted(x.float()).counts)
