"""Sharing keys and values among heads: pure functions from a model to a new one, like surgery's.

`reorder_heads` and `align_heads` change no output; they prepare for `merge_kv_heads`, which does.
Tensors of a layer are seen by key/value head: with K of them and H query heads, keys and values are
(K, head_dim, hidden), queries and the columns of the output (K, H / K * head_dim, hidden).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bertslim.model.configuration import LayerWidths, layer_widths, with_widths
from bertslim.model.modeling import SlimBertModel, SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt

ROUNDS = 10
"""Of turning heads towards their mean, which moves each time."""

ROWS = tuple(f"{part}.{kind}" for part in ("query", "key", "value") for kind in ("weight", "bias"))


def reorder_heads(
    model: SlimBertPreTrainedModel, orders: Mapping[int, Sequence[int]]
) -> SlimBertPreTrainedModel:
    """Put heads into another order, which changes no output.

    Args:
        model: Any canonical model.
        orders: Layer -> its key/value heads, as they are numbered now, in their new order. Query
            heads go with the key that they share.
    """
    tensors = dict(model.state_dict())
    for number, order in orders.items():
        prefix = attention_prefix(model, number)
        for name in ROWS:
            tensors[prefix + name] = _reordered(tensors[prefix + name], order)
        columns = tensors[f"{prefix}output.weight"]
        tensors[f"{prefix}output.weight"] = _reordered(columns.T, order).T
    return rebuilt(model, model.config, tensors)


def align_heads(model: SlimBertPreTrainedModel, kv_heads: int) -> SlimBertPreTrainedModel:
    """Turn the heads that are to share keys and values towards each other.

    A score q.k is the same after q and k were turned alike, so each head is free to be turned
    before its key is averaged with others; and so are values and the columns of the output. No
    output changes.

    Args:
        model: Any canonical model.
        kv_heads: How many are to be left; see `merge_kv_heads`.
    """
    tensors = dict(model.state_dict())
    for number, layer in enumerate(layer_widths(model.config)):
        if layer.kv_heads:
            _align_layer(tensors, attention_prefix(model, number), layer, kv_heads)
    return rebuilt(model, model.config, tensors)


def merge_kv_heads(model: SlimBertPreTrainedModel, kv_heads: int) -> SlimBertPreTrainedModel:
    """Let neighbouring heads share the mean of their keys and of their values.

    W_K^g = mean_{h in g} W_K^h, and so for W_V and the biases (Ainslie et al. 2023, section 2.1).

    Args:
        model: Any canonical model.
        kv_heads: How many are left in each layer; divides those that are there.
    """
    widths, tensors = list(layer_widths(model.config)), dict(model.state_dict())
    for number, layer in enumerate(widths):
        if not layer.kv_heads:
            continue
        for name in (name for name in ROWS if not name.startswith("query")):
            path = attention_prefix(model, number) + name
            shape = tensors[path].shape[1:]
            grouped = tensors[path].view(kv_heads, -1, layer.head_dim, *shape)
            tensors[path] = grouped.mean(dim=1).flatten(0, 1)
        widths[number] = replace(layer, kv_heads=kv_heads)
    return rebuilt(model, with_widths(model.config, widths), tensors)


def attention_prefix(model: SlimBertPreTrainedModel, number: int) -> str:
    """Return what the names of a layer's attention begin with."""
    root = "" if isinstance(model, SlimBertModel) else "bert."
    return f"{root}layers.{number}.attention."


def by_kv_head(tensor: Tensor, layer: LayerWidths) -> Tensor:
    """See keys' or values' weights head by head: (K, head_dim, hidden)."""
    return tensor.view(layer.kv_heads, layer.head_dim, -1)


def _reordered(rows: Tensor, order: Sequence[int]) -> Tensor:
    blocks = rows.reshape(len(order), -1, *rows.shape[1:])
    return blocks[list(order)].flatten(0, 1)


def _align_layer(
    tensors: dict[str, Tensor], prefix: str, layer: LayerWidths, kv_heads: int
) -> None:
    """Turn keys with their queries, and values with their columns of the output, in place."""
    repeats = layer.heads // layer.kv_heads
    for part in ("key", "value"):
        weights = by_kv_head(tensors[f"{prefix}{part}.weight"], layer)
        groups = weights.view(kv_heads, -1, *weights.shape[1:])
        turns = torch.cat([turns_to_mean(group) for group in groups])  # (K, head_dim, head_dim)
        every = turns.repeat_interleave(repeats, dim=0)  # (H, head_dim, head_dim)
        for kind in ("weight", "bias"):
            name = f"{prefix}{part}.{kind}"
            tensors[name] = _turned(tensors[name], turns)
            if part == "key":
                name = f"{prefix}query.{kind}"
                tensors[name] = _turned(tensors[name], every)
        if part == "value":
            columns = tensors[f"{prefix}output.weight"]
            tensors[f"{prefix}output.weight"] = _turned(columns.T, every).T


def turns_to_mean(heads: Tensor) -> Tensor:
    """Rotate each of some heads, (heads, head_dim, hidden), to be as near to their mean as can be.

    R_h = argmin ||R W_h - M||_F over orthogonal R = U V^T, where M W_h^T = U S V^T (Procrustes).

    Returns:
        R, (heads, head_dim, head_dim).
    """
    w = heads.double()
    mean = w[0]
    for _ in range(ROUNDS):
        u, _, vt = torch.linalg.svd(mean @ w.transpose(1, 2))
        turns: Tensor = u @ vt
        mean = (turns @ w).mean(dim=0)
    return turns.to(heads.dtype)


def _turned(rows: Tensor, turns: Tensor) -> Tensor:
    """Multiply each head's rows, a matrix or a vector, by its rotation."""
    heads, head_dim, _ = turns.shape
    return (turns @ rows.reshape(heads, head_dim, -1)).view(rows.shape)
