"""Dropout: off without a cost; on a CPU from 16 random bits per element."""

import math

import pytest
import torch
from torch import nn

from bertslim.model.layers import Dropout, cheap_dropout
from bertslim.model.modeling import SlimBertForSequenceClassification
from tests.train.training import classifier

COUNT = 1_000_003
"""Not a multiple of the four numbers that a random word makes."""


def training_dropout(p: float) -> Dropout:
    torch.manual_seed(0)
    return Dropout(p).train()


@pytest.mark.parametrize("p", [2**-16, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_the_rate_is_p_and_the_mean_stays(p: float) -> None:
    y = training_dropout(p)(torch.ones(COUNT))
    share = int(p * 2**16) / 2**16
    # of a million independent draws, within five standard deviations
    error = 5 * math.sqrt(share * (1 - share) / COUNT)
    assert abs(float((y == 0).double().mean()) - share) < error
    assert abs(float(y.double().mean()) - 1) < error / (1 - share)
    # what is kept is scaled by exactly 1 / (1 - p), so the mean is not only near 1
    assert y[y != 0].unique().tolist() == [torch.tensor(1 / (1 - share)).item()]


def test_each_element_is_dropped_by_itself() -> None:
    zeros = (training_dropout(0.5)(torch.ones(COUNT)) == 0).double() - 0.5
    for distance in (1, 2, 3, 4, 8):
        correlation = float((zeros[distance:] * zeros[:-distance]).mean() / 0.25)
        assert abs(correlation) < 5 / math.sqrt(COUNT)


def test_gradients_pass_where_values_do() -> None:
    x = torch.randn(3, 5, 7).transpose(0, 2).requires_grad_()
    y = training_dropout(0.4)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(y, x * x.grad)
    assert 0 < int((x.grad == 0).sum()) < x.numel()


@pytest.mark.parametrize("module", [Dropout(0.0).train(), Dropout(0.5).eval()])
def test_no_dropout_is_no_work(module: Dropout) -> None:
    x, state = torch.ones(5), torch.get_rng_state()
    assert module(x) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("p", [1 - 2**-20, 1.0])
def test_all_or_nearly_all_may_go(p: float) -> None:
    y = training_dropout(p)(torch.ones(1000))
    assert bool(y.isfinite().all())
    assert int((y != 0).sum()) <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 7)])
def test_any_shape_and_type(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    y = cheap_dropout(torch.ones(shape, dtype=dtype), 0.5)
    assert (y.shape, y.dtype) == (shape, dtype)
    assert set(y.flatten().tolist()) <= {0.0, 2.0}


def test_masks_follow_torchs_generator() -> None:
    x = torch.ones(64)
    dropout = training_dropout(0.5)
    first, second = dropout(x), dropout(x)
    assert not first.equal(second)
    assert training_dropout(0.5)(x).equal(first)


def test_off_the_cpu_it_is_torchs() -> None:
    y = training_dropout(0.1)(torch.ones(8, device="meta"))
    assert (y.device.type, y.shape) == ("meta", (8,))


def test_attention_drops_by_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[tuple[int, float]] = []

    def record(x: torch.Tensor, p: float) -> torch.Tensor:
        rates.append((x.dim(), p))
        return cheap_dropout(x, p)

    monkeypatch.setattr("bertslim.model.layers.cheap_dropout", record)
    model = classifier().train()
    assert isinstance(model, SlimBertForSequenceClassification)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.2
    inputs = torch.ones(2, 6, dtype=torch.long)
    model(input_ids=inputs)
    # embeddings; in each of two layers probabilities, attention and FFN; the head
    assert [dims for dims, _ in rates] == [3, 4, 3, 3, 4, 3, 3, 2]
    assert {p for _, p in rates} == {0.2}
