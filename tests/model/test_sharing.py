import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt
from bertslim.model.sharing import align_heads, merge_kv_heads, reorder_heads, turns_to_mean
from tests.model.test_surgery import shared
from tests.model.zoo import batch, run, same, save_stock

KEYS = ("key.weight", "key.bias", "value.weight", "value.bias")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SlimBertPreTrainedModel:
    return load_model(save_stock(tmp_path_factory.mktemp("bert"), "Bert", "text-classification"))


def attention(number: int, name: str) -> str:
    return f"bert.layers.{number}.attention.{name}"


def rotations(count: int) -> Tensor:
    """Random ones, (count, 8, 8)."""
    noise = torch.randn(count, 8, 8, generator=torch.Generator().manual_seed(2))
    return torch.linalg.qr(noise).Q


def with_equal_keys(
    model: SlimBertPreTrainedModel, groups: list[int], maps: Tensor | None = None
) -> SlimBertPreTrainedModel:
    """Let heads of a group have one key and one value, each seen through a map of its own.

    K_h = A_h K and V_h = A_h V, queries and columns multiplied by A_h^-T, so that all maps make
    the same model.
    """
    tensors = dict(model.state_dict())
    first = [groups.index(group) for group in groups]
    maps = torch.eye(8).repeat(4, 1, 1) if maps is None else maps
    back = torch.linalg.inv(maps).transpose(1, 2)
    for number in range(2):
        for name in KEYS:
            path = attention(number, name)
            tensors[path] = (maps @ tensors[path].view(4, 8, -1)[first]).view(tensors[path].shape)
        for name in ("query.weight", "query.bias"):
            path = attention(number, name)
            tensors[path] = (back @ tensors[path].view(4, 8, -1)).view(tensors[path].shape)
        path = attention(number, "output.weight")
        tensors[path] = (back @ tensors[path].T.reshape(4, 8, -1)).view(32, 32).T
    return rebuilt(model, model.config, tensors)


@pytest.mark.parametrize("order", [[1, 0, 3, 2], [3, 1, 0, 2]])
def test_the_order_of_heads_changes_no_output(
    model: SlimBertPreTrainedModel, order: list[int]
) -> None:
    other = reorder_heads(model, {1: order})
    assert same(run(other, **batch()).logits, run(model, **batch()).logits)
    path = attention(1, "key.weight")
    expected = model.state_dict()[path].view(4, 8, 32)[order].view(32, 32)
    assert torch.equal(other.state_dict()[path], expected)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_queries_go_with_the_key_that_they_share(kv_heads: int) -> None:
    model = shared(kv_heads)
    other = reorder_heads(model, {n: range(kv_heads)[::-1] for n in (0, 1)})
    assert same(run(other, **batch()).logits, run(model, **batch()).logits)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_turning_heads_changes_no_output(kv_heads: int) -> None:
    model = shared(4)
    turned = align_heads(model, kv_heads)
    assert same(run(turned, **batch()).logits, run(model, **batch()).logits, 1e-5)
    moved = not torch.equal(
        turned.state_dict()[attention(0, "key.weight")],
        model.state_dict()[attention(0, "key.weight")],
    )
    assert moved == (kv_heads < 4)
    grouped = shared(2)
    assert same(
        run(align_heads(grouped, 1), **batch()).logits, run(grouped, **batch()).logits, 1e-5
    )


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_keys_and_values_become_means_of_neighbours(
    model: SlimBertPreTrainedModel, kv_heads: int
) -> None:
    merged = merge_kv_heads(model, kv_heads)
    expected = [dataclasses.replace(w, kv_heads=kv_heads) for w in layer_widths(model.config)]
    assert list(layer_widths(merged.config)) == expected
    old, new = model.state_dict(), merged.state_dict()
    size = 4 // kv_heads
    for name in KEYS:
        by_head = old[attention(0, name)].view(4, 8, -1)
        means = [by_head[size * g : size * (g + 1)].mean(0) for g in range(kv_heads)]
        assert same(new[attention(0, name)].view(kv_heads, 8, -1), torch.stack(means))
    for name in ("query.weight", "query.bias", "output.weight", "output.bias"):
        assert torch.equal(old[attention(1, name)], new[attention(1, name)])


def test_heads_with_equal_keys_can_share_them(model: SlimBertPreTrainedModel) -> None:
    equal = with_equal_keys(model, [0, 0, 1, 1])
    merged = merge_kv_heads(equal, 2)
    assert same(run(merged, **batch()).logits, run(equal, **batch()).logits)
    # and once more
    assert layer_widths(merge_kv_heads(merged, 1).config)[0].kv_heads == 1


def test_heads_that_were_turned_away_are_turned_back(model: SlimBertPreTrainedModel) -> None:
    equal = with_equal_keys(model, [0, 0, 0, 0], rotations(4))
    expected = run(equal, **batch()).logits
    assert same(run(merge_kv_heads(align_heads(equal, 1), 1), **batch()).logits, expected, 1e-5)
    assert not same(run(merge_kv_heads(equal, 1), **batch()).logits, expected, 1e-2)


def test_turning_brings_heads_nearer_to_their_mean() -> None:
    heads = torch.randn(3, 8, 32, generator=torch.Generator().manual_seed(0))
    turns = turns_to_mean(heads)
    identity = torch.eye(8).expand(3, 8, 8)
    torch.testing.assert_close(turns @ turns.transpose(1, 2), identity, atol=1e-5, rtol=0)
    turned = turns @ heads
    assert turned.var(0, correction=0).sum() < 0.9 * heads.var(0, correction=0).sum()


def test_the_input_is_left_alone(model: SlimBertPreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for other in (reorder_heads(model, {0: [3, 2, 1, 0]}), align_heads(model, 1)):
        with torch.no_grad():
            for parameter in merge_kv_heads(other, 1).parameters():
                parameter.add_(1.0)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_layers_without_heads_stay_so(tmp_path: Path) -> None:
    from tests.model.zoo import uneven

    model = merge_kv_heads(align_heads(uneven(tmp_path), 1), 1)
    assert [(w.heads, w.kv_heads) for w in layer_widths(model.config)] == [(2, 1), (0, 0)]
    assert run(model, **batch()).logits.isfinite().all()
