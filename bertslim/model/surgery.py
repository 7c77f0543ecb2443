"""Cutting a model: pure functions from a model to a new one that shares nothing with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths, with_widths
from bertslim.model.modeling import SlimBertModel, SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt

READERS = ("attention.query", "attention.key", "attention.value", "ffn.intermediate")
"""What takes the hidden state in a layer,"""
WRITERS = ("attention.output", "ffn.output", "attention_norm", "ffn_norm")
"""and what makes it."""


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
        kv_kept = kv_heads_left(kept, layer)
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


def keep_hidden(model: SlimBertPreTrainedModel, kept: Collection[int]) -> SlimBertPreTrainedModel:
    """Keep these channels of the hidden state, in their order; heads stay as large as they are.

    The width goes from tables, norms, projections, pooler and head alike. A masked-LM decoder is
    the word table, and narrows with it.

    Raises:
        ValueError: If a channel does not exist, or if just as many are left as the embeddings have
            where these are projected: that width stands for no projection.
    """
    size, embedding = model.config.hidden_size, model.config.embedding_size
    if wrong := [channel for channel in kept if not 0 <= channel < size]:
        raise ValueError(f"there is no hidden channel {wrong[0]}, but {size}")
    rows = torch.tensor(sorted(set(kept)), dtype=torch.long)
    if len(rows) == embedding != size:
        raise ValueError(f"{embedding} hidden channels are as many as the embeddings have")
    config = with_widths(model.config, layer_widths(model.config))
    config.hidden_size = len(rows)
    config.embedding_size = len(rows) if embedding == size else embedding
    tensors = dict(model.state_dict())
    for name, tensor in tensors.items():
        for dimension in _hidden_dimensions(name, model.config):
            tensors[name] = tensors[name].index_select(dimension, rows.to(tensor.device))
    return rebuilt(model, config, tensors)


def kv_heads_left(kept: Sequence[int], layer: LayerWidths) -> list[int]:
    """Key/value heads for the kept query heads: one per group if the groups stay equal."""
    used = [head * layer.kv_heads // layer.heads for head in kept]
    groups = [len(list(members)) for _, members in groupby(used)]
    return list(dict.fromkeys(used)) if len(set(groups)) == 1 else used


def _hidden_dimensions(name: str, config: SlimBertConfig) -> tuple[int, ...]:
    """Dimensions of a tensor that are as wide as the hidden state."""
    module, _, kind = name.removeprefix("bert.").rpartition(".")
    projected = config.embedding_size != config.hidden_size
    if module == "embeddings.projection" or module.endswith(WRITERS):
        return (0,)
    if module.endswith(READERS) or module in ("classifier", "qa_outputs"):
        return (1,) if kind == "weight" else ()
    if module == "pooler":
        return (0, 1) if kind == "weight" else (0,)
    if module == "mlm.dense":
        return ((1,) if kind == "weight" else ()) + (() if projected else (0,))
    if projected or module == "mlm":
        return ()
    return (1,) if module.endswith("_embeddings") else (0,)


def _prefix(model: SlimBertPreTrainedModel) -> str:
    return "" if isinstance(model, SlimBertModel) else "bert."


def _check(wanted: Mapping[int, Collection[int]], sizes: Sequence[int], unit: str) -> None:
    for layer, members in wanted.items():
        if not 0 <= layer < len(sizes):
            raise ValueError(f"there is no layer {layer} among {len(sizes)}")
        for member in members:
            if not 0 <= member < sizes[layer]:
                raise ValueError(f"layer {layer} has no {unit} {member}, but {sizes[layer]}")


def _units(heads: Sequence[int], head_dim: int) -> Tensor:
    """Row numbers of these heads."""
    starts = torch.tensor(heads, dtype=torch.long)[:, None] * head_dim
    return (starts + torch.arange(head_dim)).flatten()
