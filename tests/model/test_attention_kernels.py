"""Which kernels of attention are taken: the fused one, where it is not the slower one."""

import pytest
import torch
from torch import nn

from bertslim.model.configuration import LayerWidths, SlimBertConfig
from bertslim.model.layers import LONGEST_PLAIN, Attention

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    config = SlimBertConfig(hidden_size=16, num_attention_heads=4, attention_probs_dropout_prob=0.0)
    made = Attention(config, LayerWidths(4, 4, 4, 8, None))
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def is_fused(attention: Attention, monkeypatch: pytest.MonkeyPatch, x: torch.Tensor = X) -> bool:
    seen = []
    fused = nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **more: (seen.append(1), fused(*args, **more))[1],
    )
    attention(x, x, None, None, False)
    return bool(seen)


def test_learning_in_fp32_is_fused(attention: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_fused(attention, monkeypatch)


def test_learning_in_bf16_is_not(attention: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_fused(attention, monkeypatch)


@pytest.mark.parametrize(("length", "fused"), [(LONGEST_PLAIN, False), (LONGEST_PLAIN + 1, True)])
def test_of_long_rows_memory_counts_more(
    attention: Attention, monkeypatch: pytest.MonkeyPatch, length: int, fused: bool
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert is_fused(attention, monkeypatch, torch.randn(1, length, 16)) is fused


def test_running_in_bf16_is_fused(attention: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert is_fused(attention, monkeypatch)


def test_both_compute_the_same(attention: Attention) -> None:
    fused, _ = attention(X, X, None, None, False)
    plain, scores = attention(X, X, None, None, True)
    assert scores is not None
    assert torch.allclose(fused, plain, atol=1e-6)
