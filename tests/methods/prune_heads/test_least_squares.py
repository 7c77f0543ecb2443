"""Least squares from sums, against all rows at once."""

import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_heads.least_squares import (
    Map,
    Sums,
    best_of,
    projection,
    scaling,
)

CPU = torch.device("cpu")
ROWS, INPUTS, OUTPUTS = 60, 6, 4
IMPORTANCE = torch.tensor([1.0, 4.0, 0.25, 1.0], dtype=torch.float64)


def problem() -> tuple[Tensor, Tensor, Map]:
    """Rows whose means are not 0, what they should give, and weights to start from."""
    torch.manual_seed(0)
    a = torch.randn(ROWS, INPUTS, dtype=torch.float64) + torch.arange(INPUTS)
    y = torch.randn(ROWS, OUTPUTS, dtype=torch.float64) + 2
    weight = torch.randn(INPUTS, OUTPUTS, dtype=torch.float64)
    return a, y, Map(weight, torch.randn(OUTPUTS, dtype=torch.float64))


def summed(a: Tensor, y: Tensor, batch: int = ROWS) -> Sums:
    sums = Sums.empty(a.shape[1], y.shape[1], CPU)
    for start in range(0, len(a), batch):
        sums.add(a[start : start + batch], y[start : start + batch])
    return sums


def close(found: Map, expected: Map, tolerance: float = 1e-8) -> bool:
    return torch.allclose(found.weight, expected.weight, atol=tolerance) and torch.allclose(
        found.bias, expected.bias, atol=tolerance
    )


def test_without_a_ridge_it_is_the_least_squares_solution() -> None:
    a, y, before = problem()
    with_ones = torch.cat([a, torch.ones(ROWS, 1)], dim=1)
    solution = torch.linalg.lstsq(with_ones, y).solution
    found = projection(summed(a, y), before, 1e-12)
    assert close(found, Map(solution[:-1], solution[-1]), 1e-6)


def test_the_ridge_draws_towards_the_weights_as_they_were() -> None:
    a, y, before = problem()
    centred, rest = a - a.mean(0), y - y.mean(0)
    lam = 0.3 * float(centred.square().sum()) / INPUTS
    # the rows of sqrt(lambda) I ask for the old weights
    rows = torch.cat([centred, lam**0.5 * torch.eye(INPUTS)])
    wanted = torch.cat([rest, lam**0.5 * before.weight])
    weight = torch.linalg.lstsq(rows, wanted).solution
    found = projection(summed(a, y), before, 0.3)
    assert close(found, Map(weight, y.mean(0) - a.mean(0) @ weight))
    assert torch.allclose(projection(summed(a, y), before, 1e12).weight, before.weight)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_factors_are_those_of_the_whole_design_matrix(channels: int) -> None:
    a, y, before = problem()
    units = INPUTS // channels
    # column i: what unit i gives to every output of every row
    shares = a[:, :, None] * before.weight  # (rows, inputs, outputs)
    design = shares.view(ROWS, units, channels, OUTPUTS).sum(2).permute(0, 2, 1)
    design = design.reshape(-1, units)
    lam = 0.1 * float(design.square().sum()) / units
    rows = torch.cat([design, lam**0.5 * torch.eye(units)])
    wanted = torch.cat([(y - before.bias).flatten(), torch.full((units,), lam**0.5)])
    scale = torch.linalg.lstsq(rows, wanted[:, None]).solution.flatten()
    found = scaling(summed(a, y), before, 0.1, channels)
    expected = Map(before.weight * scale.repeat_interleave(channels)[:, None], before.bias)
    assert close(found, expected)


def test_batches_add_up() -> None:
    a, y, before = problem()
    whole = projection(summed(a, y), before, 0.1)
    assert close(projection(summed(a, y, batch=7), before, 0.1), whole)
    parts = summed(a[:20], y[:20]) + summed(a[20:], y[20:])
    assert close(projection(parts, before, 0.1), whole)
    assert parts.rows == ROWS


def test_errors_are_those_of_the_rows() -> None:
    a, y, before = problem()
    error = (a @ before.weight + before.bias - y).square() @ IMPORTANCE
    assert summed(a, y).error(before, IMPORTANCE) == pytest.approx(float(error.mean()))
    spread = (y - y.mean(0)).square() @ IMPORTANCE
    assert summed(a, y).spread(IMPORTANCE) == pytest.approx(float(spread.mean()))


def test_what_fits_other_rows_best_is_taken() -> None:
    a, y, before = problem()
    exact = Map(before.weight, before.bias)
    other = Map(before.weight + 1, before.bias)
    wanted = a @ before.weight + before.bias
    assert best_of([other, exact], summed(a, wanted), IMPORTANCE) is exact
    assert best_of([exact, Map(exact.weight, exact.bias)], summed(a, y), IMPORTANCE) is exact


def test_without_inputs_only_the_bias_is_left() -> None:
    _, y, before = problem()
    none = Map(before.weight[:0], before.bias)
    sums = summed(torch.zeros(ROWS, 0, dtype=torch.float64), y)
    assert torch.allclose(projection(sums, none, 0.1).bias, y.mean(0))
    assert torch.equal(scaling(sums, none, 0.1, 2).bias, before.bias)


def test_inputs_that_never_change_are_left_alone() -> None:
    _, y, before = problem()
    found = projection(summed(torch.zeros(ROWS, INPUTS, dtype=torch.float64), y), before, 0.1)
    assert torch.equal(found.weight, before.weight)
