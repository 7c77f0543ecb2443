import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from bertslim.methods.prune_l0.hard_concrete import (
    BETA,
    GAMMA,
    LOG_ALPHA_LIMIT,
    ZETA,
    open_probability,
    sample,
    settled,
)

LOCATIONS = (-4.6, -2.0, -0.5, 0.0, 1.0, 3.0, 4.6)


def drawn(location: float, count: int = 200_000) -> Tensor:
    torch.manual_seed(0)
    return sample(torch.full((count,), location))


def density(s: float, log_alpha: float) -> float:
    """Of the binary concrete distribution, before stretching (Maddison et al. 2017)."""
    log_odds = BETA * (math.log(s) - math.log(1 - s))
    top = BETA / (s * (1 - s)) * math.exp(log_odds + log_alpha)
    return top / (math.exp(log_odds) + math.exp(log_alpha)) ** 2


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_open_probability_is_an_integral_of_the_density(location: float) -> None:
    closed_below = -GAMMA / (ZETA - GAMMA)  # s that is stretched to 0
    integral, _ = quad(density, closed_below, 1 - 1e-12, args=(location,), limit=500)
    assert float(open_probability(torch.tensor(location))) == pytest.approx(integral, abs=1e-4)


@pytest.mark.parametrize("location", LOCATIONS)
def test_samples_are_open_and_full_as_often_as_they_should_be(location: float) -> None:
    gates = drawn(location)
    assert 0 <= float(gates.min()) <= float(gates.max()) <= 1
    found = float((gates > 0).double().mean())
    expected = float(open_probability(torch.tensor(location)))
    assert found == pytest.approx(expected, abs=4e-3)
    # the distribution is symmetric: full with alpha as often as closed with 1 / alpha
    full = float((gates == 1).double().mean())
    assert full == pytest.approx(1 - float(open_probability(torch.tensor(-location))), abs=4e-3)


@pytest.mark.parametrize("location", [-1.0, 0.0, 2.0])
def test_the_mean_of_the_samples_is_that_of_the_density(location: float) -> None:
    def weighted(s: float) -> float:
        return density(s, location) * float(np.clip(s * (ZETA - GAMMA) + GAMMA, 0, 1))

    mean, _ = quad(weighted, 1e-12, 1 - 1e-12, limit=500)
    assert float(drawn(location).double().mean()) == pytest.approx(mean, abs=4e-3)


def test_a_finished_gate_follows_the_rule_without_temperature() -> None:
    locations = torch.tensor([-4.6, -2.39, 0.0, 1.0, 2.39, 4.6])
    expected = [0.0, 1.2 / (1 + math.exp(2.39)) - 0.1, 0.5, 1.2 / (1 + math.exp(-1)) - 0.1]
    found = settled(locations).tolist()
    assert found[:4] == pytest.approx(expected, abs=1e-6)
    assert 0.99 < found[4] < 1
    assert found[5] == 1


def test_gradients_point_towards_open() -> None:
    location = torch.zeros(1000, requires_grad=True)
    torch.manual_seed(0)
    gates = sample(location)
    gates.sum().backward()
    between = (gates > 0) & (gates < 1)
    assert location.grad is not None
    assert bool((location.grad[between] > 0).all())
    assert not location.grad[~between].any()


def test_the_limit_keeps_gates_from_certainty() -> None:
    ends = open_probability(torch.tensor([-LOG_ALPHA_LIMIT, LOG_ALPHA_LIMIT]))
    assert ends.tolist() == pytest.approx([0.0471, 0.9980], abs=1e-4)


def test_samples_follow_the_generator() -> None:
    first, second = drawn(0.5, 100), drawn(0.5, 100)
    assert first.equal(second)
    assert not first.equal(sample(torch.full((100,), 0.5)))
