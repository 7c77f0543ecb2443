"""A basis that only reorders channels, and maps that only turn heads, change no output."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.narrowing import HeadMaps, Norm, project_states, state_norms, thin_heads
from bertslim.model.surgery import remove_heads
from tests.model.zoo import FAMILIES, batch, run, same, save_stock

KINDS = ["text-classification", "text-regression", "token-classification", "question-answering"]


def open_stock(folder: Path, family: str, kind: str) -> SlimBertPreTrainedModel:
    return load_model(save_stock(folder, family, kind))


def all_same(a: SlimBertPreTrainedModel, b: SlimBertPreTrainedModel, family: str) -> bool:
    found, expected = run(a, **batch(family)), run(b, **batch(family))
    names = [n for n in ("logits", "start_logits", "end_logits") if expected.get(n) is not None]
    return all(same(found[name], expected[name], 1e-5) for name in names) and bool(names)


def permuted_norms(model: SlimBertPreTrainedModel, order: Tensor) -> dict[str, Norm]:
    return {n: Norm(m.weight[order], m.bias[order]) for n, m in state_norms(model).items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_channels_in_another_order(tmp_path: Path, family: str, kind: str) -> None:
    model = open_stock(tmp_path, family, kind)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    pooled = order if model.config.pooler_activation else None
    basis = torch.eye(32)[:, order]
    turned = project_states(model, basis, permuted_norms(model, order), pooled)
    assert all_same(turned, model, family)
    assert not torch.equal(
        turned.encoder.layers[0].ffn.output.bias,
        model.state_dict()["bert.layers.0.ffn.output.bias"],
    )


@pytest.mark.parametrize("family", ["Bert", "Electra", "DistilBert"])
def test_a_narrow_model_is_saved_and_opened_as_a_stock_one(tmp_path: Path, family: str) -> None:
    from bertslim.model.saving import save_model
    from bertslim.model.twin import stock_reasons
    from bertslim.store.checkpoint import open_checkpoint

    model = remove_heads(open_stock(tmp_path / "wide", family, KINDS[0]), {0: (0,), 1: (3,)})
    order = torch.arange(24)
    narrow = project_states(model, torch.eye(32)[:, :24], permuted_norms(model, order), order)
    assert (narrow.config.hidden_size, narrow.config.head_dim) == (24, 8)
    assert narrow.config.embedding_size == (16 if family == "Electra" else 24)
    assert stock_reasons(narrow.config) == []
    save_model(narrow, tmp_path / "narrow", tokenizer_from=None)
    assert all_same(load_model(open_checkpoint(tmp_path / "narrow")), narrow, family)


def rotations(heads: int, size: int) -> Tensor:
    """One orthogonal matrix for each head."""
    found: Tensor = torch.linalg.qr(torch.randn(heads, size, size)).Q
    return found


def test_heads_that_are_turned(tmp_path: Path) -> None:
    model = remove_heads(open_stock(tmp_path, "Bert", KINDS[2]), {1: (2,)})
    maps = []
    for heads in (4, 3):
        scores, contexts = rotations(heads, 8), rotations(heads, 8)
        maps.append(HeadMaps(scores, scores, contexts, contexts))
    turned = thin_heads(model, maps)
    assert all_same(turned, model, "Bert")
    assert not torch.equal(
        turned.state_dict()["bert.layers.0.attention.key.bias"],
        model.state_dict()["bert.layers.0.attention.key.bias"],
    )


def test_thin_heads_have_their_own_width(tmp_path: Path) -> None:
    model = open_stock(tmp_path, "Bert", KINDS[2])
    narrow = torch.eye(8)[:, :6].expand(4, 8, 6)
    thin = thin_heads(model, [HeadMaps(narrow, narrow, narrow, narrow)] * 2)
    assert thin.config.head_dim == 6
    assert run(thin, **batch()).logits.shape == (3, 12, 3)


def test_shared_keys_cannot_be_thinned(tmp_path: Path) -> None:
    import dataclasses

    from bertslim.model.configuration import layer_widths, with_widths

    model = open_stock(tmp_path, "Bert", KINDS[2])
    widths = [dataclasses.replace(w, kv_heads=2) for w in layer_widths(model.config)]
    shared = type(model)(with_widths(model.config, widths))
    with pytest.raises(ValueError, match="share keys"):
        thin_heads(shared, [])
