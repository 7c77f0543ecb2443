"""What is kept is what matters: a model that wastes half of its width loses nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.methods.distill.cut import cut_config, cut_of
from bertslim.methods.distill.energy import Moments, energies
from bertslim.methods.distill.shape import parse_shape
from bertslim.methods.distill.shrink import Shrunk, shrink
from bertslim.methods.distill.thinning import principal_directions, strongest, thin_maps
from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import keep_layers, remove_ffn_units, remove_heads
from bertslim.store.checkpoint import open_checkpoint
from tests.methods.prune_heads.worlds import rows
from tests.model.zoo import FAMILIES, save_stock
from tests.tiny import save_tiny_bert

IDS = torch.randint(5, 30, (16, 10), generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=["text-classification", "token-classification", "question-answering"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> SlimBertPreTrainedModel:
    return load_model(open_checkpoint(save_tiny_bert(tmp_path, request.param)))


def cut(model: SlimBertPreTrainedModel, text: str) -> Shrunk:
    return shrink(model, cut_of(parse_shape(text), model.config), rows())


def outputs(model: SlimBertPreTrainedModel) -> Tensor:
    with torch.no_grad():
        found = model(IDS)
    return found.start_logits if found.logits is None else found.logits


def assert_same(a: SlimBertPreTrainedModel, b: SlimBertPreTrainedModel, atol: float = 1e-5) -> None:
    torch.testing.assert_close(outputs(a), outputs(b), atol=atol, rtol=0)


def weight(model: SlimBertPreTrainedModel, name: str) -> Tensor:
    found: Tensor = model.state_dict(keep_vars=True)[f"bert.layers.{name}"].data
    return found


def test_layers_are_copied(model: SlimBertPreTrainedModel) -> None:
    student = cut(model, "layers=1")
    assert student.basis is None
    assert_same(student.model, keep_layers(model, [0]), atol=0)
    assert_same(cut(model, "layers=1,0").model, keep_layers(model, [1, 0]), atol=0)


def test_heads_and_units_that_write_nothing_go_first(model: SlimBertPreTrainedModel) -> None:
    weight(model, "0.attention.output.weight")[:, 8:16] *= 1e-6
    weight(model, "1.attention.output.weight")[:, 24:] *= 1e-6
    weight(model, "0.ffn.output.weight")[:, ::2] *= 1e-6
    weight(model, "1.ffn.output.weight")[:, 1::2] *= 1e-6
    assert_same(cut(model, "heads=3").model, remove_heads(model, {0: (1,), 1: (3,)}), atol=0)
    fewer = remove_ffn_units(model, {0: range(0, 64, 2), 1: range(1, 64, 2)})
    assert_same(cut(model, "ffn=32").model, fewer, atol=0)


@pytest.mark.parametrize("shape", ["ffn=32", "hidden=16", "layers=1,hidden=16"])
def test_a_layer_may_have_no_heads(model: SlimBertPreTrainedModel, shape: str) -> None:
    headless = remove_heads(model, {0: range(4)})
    assert outputs(cut(headless, shape).model).isfinite().all()


def test_channels_that_hold_nothing_are_not_missed(model: SlimBertPreTrainedModel) -> None:
    """Of 32 channels 16 repeat the others, whose mean is 0: the states have 15 directions."""
    for name, tensor in model.state_dict().items():
        module = name.rpartition(".")[0]
        if "_embeddings" in module:
            tensor[..., 16:] = tensor[..., :16]
        elif module.endswith(("attention.output", "ffn.output")):
            tensor[16:] = tensor[:16]
        elif name == "classifier.weight" and model.config.pooler_activation:
            tensor[:, ::2] = 0  # so many units of the pooler are left
    student = cut(model, "hidden=16,heads=4")
    thick = shrink(model, replace(cut_of(parse_shape("hidden=16"), model.config), heads=4), rows())
    assert student.energy == pytest.approx(1, abs=1e-6)
    assert thick.model.config.hidden_size == 16
    assert_same(thick.model, model, atol=1e-4)


def test_a_shape_that_is_there_already_changes_nothing(model: SlimBertPreTrainedModel) -> None:
    same = cut(model, "hidden=32,heads=4,ffn=64")
    assert (same.energy, same.basis) == (1.0, None)
    assert_same(same.model, model, atol=0)


def test_thin_heads_of_low_rank_lose_nothing(model: SlimBertPreTrainedModel) -> None:
    """Half of each head's channels repeat the others."""
    for n in range(2):
        for part in ("query", "key", "value"):
            for kind in ("weight", "bias"):
                by_head = weight(model, f"{n}.attention.{part}.{kind}").unflatten(0, (4, 8))
                by_head[:, 4:] = by_head[:, :4]
    found = energies(model, rows())
    layer = model.state_dict()["bert.layers.0.attention.output.weight"]
    output = layer.view(32, 4, 8).transpose(0, 1)
    maps = thin_maps(found.queries[0], found.keys[0], found.contexts[0], output, 4)
    q, k = (x[:, :4].double().repeat(1, 2, 1) for x in (torch.randn(4, 4, 5), torch.randn(4, 4, 5)))
    thin = (
        torch.einsum("hdt,hdr->htr", q, maps.query.double()),
        torch.einsum("hdt,hdr->htr", k, maps.key.double()),
    )
    scores = thin[0] @ thin[1].transpose(1, 2) / 2  # the root of 4
    torch.testing.assert_close(scores, q.transpose(1, 2) @ k / 8**0.5, atol=1e-3, rtol=1e-3)
    contexts = maps.value.double() @ maps.output.double().transpose(1, 2)
    c = torch.randn(4, 3, 4).double().repeat(1, 1, 2)
    written = c @ contexts @ output.double().transpose(1, 2)
    torch.testing.assert_close(written, c @ output.double().transpose(1, 2), atol=1e-3, rtol=1e-3)


def test_a_narrow_student_is_nearer_than_a_random_one(model: SlimBertPreTrainedModel) -> None:
    expected = outputs(model)
    student = cut(model, "hidden=24")
    assert 0.7 < student.energy < 1
    ours = torch.corrcoef(torch.stack([outputs(student.model).flatten(), expected.flatten()]))
    assert ours[0, 1] > 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_becomes_narrower(family: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, family, "text-classification"))
    student = cut(model, "layers=1,hidden=24,heads=4,ffn=16").model
    assert (student.config.hidden_size, student.config.head_dim) == (24, 6)
    assert outputs(student).shape == (16, 3)
    assert torch.isfinite(outputs(student)).all()


@pytest.mark.parametrize("text", ["layers=1", "hidden=24,ffn=16", "hidden=8,heads=1"])
def test_the_shape_is_known_beforehand(model: SlimBertPreTrainedModel, text: str) -> None:
    uneven = remove_heads(model, {0: (1, 2, 3)})
    wanted = cut_of(parse_shape(text), uneven.config)
    student, expected = (
        shrink(uneven, wanted, rows()).model.config,
        cut_config(uneven.config, wanted),
    )
    assert [w.heads for w in layer_widths(student)] == [w.heads for w in layer_widths(expected)]
    assert (student.hidden_size, student.head_dim) == (expected.hidden_size, expected.head_dim)


def test_principal_directions_are_orthonormal() -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double() * torch.arange(1, 7)
    basis, share = principal_directions(x.T @ x, 2)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2))
    kept = (x.float() @ basis).square().sum(0)
    # the weaker of the two is the diagonal: what the channels have in common
    diagonal = (x.float() @ basis).sum(1).square().sum() / 2
    assert 0 < diagonal < kept.sum() / 2
    assert share == pytest.approx(float(kept.sum() / x.square().sum()), rel=1e-5)


def test_the_strongest_keep_their_order() -> None:
    assert strongest(torch.tensor([1.0, 5.0, 2.0, 5.0]), 2) == [1, 3]
    assert strongest(torch.tensor([1.0, 5.0]), 9) == [0, 1]


def test_lines_are_fitted_channel_by_channel() -> None:
    moments = Moments()
    a = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    a[:, 2] = 4.0
    for part in (a[:10], a[10:]):
        moments.add(part, part * torch.tensor([2.0, -1.0, 3.0]) + torch.tensor([0.0, 1.0, 2.0]))
    line = moments.line()
    torch.testing.assert_close(line.weight, torch.tensor([2.0, -1.0, 0.0]), atol=1e-5, rtol=0)
    # a channel that never changes has no slope
    torch.testing.assert_close(line.bias, torch.tensor([0.0, 1.0, 14.0]), atol=1e-4, rtol=0)
