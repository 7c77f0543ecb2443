"""Cutting a model: pure functions from a model to a new one that shares nothing with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from bertslim.model.configuration import LayerWidths, layer_widths, with_widths
from bertslim.model.modeling import SlimBertModel, SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt


def remove_heads(
    model: SlimBertPreTrainedModel, heads: Mapping[int, Collection[int]]
) -> SlimBertPreTrainedModel:
    """Remove attention heads; a layer may lose all of them.

    Where query heads share keys and values, these stay shared if every group that is left keeps
    the same number of heads; otherwise each remaining head gets a copy of its own.

    Args:
        model: Any canonical model.
        heads: Layer -> heads to remove, numbered as they are now.

    Raises:
        ValueError: If a layer or head does not exist.
    """
    widths = list(layer_widths(model.config))
    _check(heads, [layer.heads for layer in widths], "head")
    tensors = dict(model.state_dict())
    for number, gone in heads.items():
        layer = widths[number]
        kept = [head for head in range(layer.heads) if head not in gone]
        kv_kept = _kv_heads_of(kept, layer)
        prefix = f"{_prefix(model)}layers.{number}.attention."
        queries, keys = _units(kept, layer.head_dim), _units(kv_kept, layer.head_dim)
        for part, rows in (("query", queries), ("key", keys), ("value", keys)):
            for kind in ("weight", "bias"):
                tensors[f"{prefix}{part}.{kind}"] = tensors[f"{prefix}{part}.{kind}"][rows]
        tensors[f"{prefix}output.weight"] = tensors[f"{prefix}output.weight"][:, queries]
        widths[number] = replace(layer, heads=len(kept), kv_heads=len(kv_kept))
    return rebuilt(model, with_widths(model.config, widths), tensors)


def remove_ffn_units(
    model: SlimBertPreTrainedModel, units: Mapping[int, Collection[int]]
) -> SlimBertPreTrainedModel:
    """Remove units between the two products of the feed-forward part.

    Args:
        model: Any canonical model.
        units: Layer -> units to remove, numbered as they are now.

    Raises:
        ValueError: If a layer or unit does not exist.
    """
    widths = list(layer_widths(model.config))
    _check(units, [layer.intermediate_size for layer in widths], "FFN unit")
    tensors = dict(model.state_dict())
    for number, gone in units.items():
        lost = set(gone)
        kept = torch.tensor(
            [u for u in range(widths[number].intermediate_size) if u not in lost], dtype=torch.long
        )
        prefix = f"{_prefix(model)}layers.{number}.ffn."
        for name in ("intermediate.weight", "intermediate.bias"):
            tensors[prefix + name] = tensors[prefix + name][kept]
        tensors[f"{prefix}output.weight"] = tensors[f"{prefix}output.weight"][:, kept]
        widths[number] = replace(widths[number], intermediate_size=len(kept))
    return rebuilt(model, with_widths(model.config, widths), tensors)


def keep_layers(model: SlimBertPreTrainedModel, layers: Sequence[int]) -> SlimBertPreTrainedModel:
    """Keep these layers, in this order; one that is named twice is copied twice.

    Raises:
        ValueError: If a layer does not exist.
    """
    widths = layer_widths(model.config)
    _check(dict.fromkeys(layers, ()), [0] * len(widths), "head")
    root = f"{_prefix(model)}layers."
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(root):
            tensors[name] = tensor
            continue
        old, _, rest = name.removeprefix(root).partition(".")
        for new, number in enumerate(layers):
            if number == int(old):
                tensors[f"{root}{new}.{rest}"] = tensor
    return rebuilt(model, with_widths(model.config, [widths[n] for n in layers]), tensors)


def _prefix(model: SlimBertPreTrainedModel) -> str:
    return "" if isinstance(model, SlimBertModel) else "bert."


def _check(wanted: Mapping[int, Collection[int]], sizes: Sequence[int], unit: str) -> None:
    for layer, members in wanted.items():
        if not 0 <= layer < len(sizes):
            raise ValueError(f"there is no layer {layer} among {len(sizes)}")
        for member in members:
            if not 0 <= member < sizes[layer]:
                raise ValueError(f"layer {layer} has no {unit} {member}, but {sizes[layer]}")


def _kv_heads_of(kept: Sequence[int], layer: LayerWidths) -> list[int]:
    """Key/value heads for the kept query heads: one per group if the groups stay equal."""
    used = [head * layer.kv_heads // layer.heads for head in kept]
    groups = [len(list(members)) for _, members in groupby(used)]
    return list(dict.fromkeys(used)) if len(set(groups)) == 1 else used


def _units(heads: Sequence[int], head_dim: int) -> Tensor:
    """Row numbers of these heads."""
    starts = torch.tensor(heads, dtype=torch.long)[:, None] * head_dim
    return (starts + torch.arange(head_dim)).flatten()
