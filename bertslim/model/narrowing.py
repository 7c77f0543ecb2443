"""Making a model narrower by linear maps: its hidden states, and its heads."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertModel, SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt


@dataclass(frozen=True, slots=True)
class Norm:
    """Weight and bias of a LayerNorm, (hidden,) each."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class HeadMaps:
    """What makes the heads of one layer thinner: (heads, head_dim, new head_dim) each.

    Attributes:
        query: Applied to queries from the right.
        key: The same to keys.
        value: The same to values.
        output: Brings thin contexts back: applied to the output projection from the right.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor


def state_norms(model: SlimBertPreTrainedModel) -> dict[str, nn.LayerNorm]:
    """Return the LayerNorms that make hidden states, by their names in the state dict.

    That of the embeddings is one unless a projection follows it.
    """
    projects = model.config.embedding_size != model.config.hidden_size
    skipped = f"{_prefix(model)}embeddings.layer_norm" if projects else ""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm) and name != skipped
    }


def thin_heads(model: SlimBertPreTrainedModel, maps: Sequence[HeadMaps]) -> SlimBertPreTrainedModel:
    """Give every head fewer channels; each layer has as many key/value heads as query heads.

    Args:
        model: Any canonical model.
        maps: Of each layer, all to one new width.

    Raises:
        ValueError: If heads share keys and values.
    """
    widths, tensors = layer_widths(model.config), dict(model.state_dict())
    if any(layer.heads != layer.kv_heads for layer in widths):
        raise ValueError("heads that share keys and values cannot be made thinner")
    config = copy.deepcopy(model.config)
    config.head_dim = maps[0].query.shape[-1]
    for number, thin in enumerate(maps):
        prefix = f"{_prefix(model)}layers.{number}.attention."
        for part, by in (("query", thin.query), ("key", thin.key), ("value", thin.value)):
            for kind in ("weight", "bias"):
                name = f"{prefix}{part}.{kind}"
                old = tensors[name].unflatten(0, by.shape[:2])  # (heads, head_dim, ...)
                tensors[name] = torch.einsum("hdr,hd...->hr...", by, old).flatten(0, 1)
        name = f"{prefix}output.weight"
        old = tensors[name].unflatten(1, thin.output.shape[:2])  # (hidden, heads, head_dim)
        tensors[name] = torch.einsum("ohd,hdr->ohr", old, thin.output).flatten(1)
    return rebuilt(model, config, tensors)


def project_states(
    model: SlimBertPreTrainedModel,
    basis: Tensor,
    norms: Mapping[str, Norm],
    pooled: Tensor | None,
) -> SlimBertPreTrainedModel:
    """Give the hidden states the channels of a basis: x becomes x P.

    What reads states reads x P P^T, what writes them writes through P. A LayerNorm is no linear
    map, so each has to be given.

    Args:
        model: A model without a masked-LM head, which shares its table with the embeddings.
        basis: P, (hidden, new hidden), with orthonormal columns.
        norms: For each of `state_norms`, its narrow one.
        pooled: Numbers of the pooler's units that are kept, as many as there are new channels; None
            without a pooler.
    """
    config = copy.deepcopy(model.config)
    config.hidden_size = basis.shape[1]
    projects = model.config.embedding_size != model.config.hidden_size
    if not projects:
        config.embedding_size = config.hidden_size
    tensors = {}
    for name, tensor in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        if module in norms:
            tensors[name] = getattr(norms[module], kind)
        elif projects and ".embeddings." in f".{name}" and not module.endswith(WRITERS):
            tensors[name] = tensor
        else:
            tensors[name] = _projected(module, kind, tensor, basis, pooled)
    return rebuilt(model, config, tensors)


WRITERS = ("attention.output", "ffn.output", "embeddings.projection")
"""Modules whose outputs are added to hidden states, or become them."""


def _projected(
    module: str, kind: str, tensor: Tensor, basis: Tensor, pooled: Tensor | None
) -> Tensor:
    """One tensor of a module that reads or writes hidden states."""
    if module.endswith(WRITERS):
        return basis.T @ tensor
    if pooled is not None and module.endswith("pooler"):
        tensor = tensor[pooled]
    elif pooled is not None and module == "classifier":
        return tensor[:, pooled] if kind == "weight" else tensor
    return tensor @ basis if kind == "weight" else tensor


def _prefix(model: SlimBertPreTrainedModel) -> str:
    return "" if isinstance(model, SlimBertModel) else "bert."
