"""What a family's own classes can express, and how to make a model fit them."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from bertslim.errors import CheckpointError, fault_list
from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths, with_widths
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import ENCODER
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt
from bertslim.model.stock import BASE


def stock_reasons(config: SlimBertConfig) -> list[str]:
    """Why the family's own classes cannot express a model; an empty list if they can."""
    widths = layer_widths(config)
    reasons = _head_reasons(config)
    reasons += [
        f"layer {number} shares {layer.kv_heads} key/value heads among {layer.heads} heads"
        for number, layer in enumerate(widths)
        if layer.kv_heads != layer.heads
    ]
    if len({layer.intermediate_size for layer in widths}) > 1:
        reasons.append("FFN widths differ between layers")
    return reasons + _window_reasons(widths) + _family_reasons(config)


def _head_reasons(config: SlimBertConfig) -> list[str]:
    """Where heads leave some of the hidden size, or ask for more than there is."""
    reasons, size = [], config.hidden_size
    for number, layer in enumerate(layer_widths(config)):
        wide = layer.heads * layer.head_dim
        if wide != size:
            how = "do not fill" if wide < size else "are wider than"
            there = f"{layer.heads} heads of {layer.head_dim}"
            reasons.append(f"layer {number} has {there}, which {how} the hidden size of {size}")
    return reasons


def _window_reasons(widths: tuple[LayerWidths, ...]) -> list[str]:
    return [
        f"layer {number} attends within a window of {layer.window}"
        for number, layer in enumerate(widths)
        if layer.window is not None
    ]


def _family_reasons(config: SlimBertConfig) -> list[str]:
    """Where the settings leave what the family's code allows."""
    family = FAMILIES[config.family]
    offset = config.padding_id + 1 if family.counts_padding_out else 0
    allowed = dict(family.fixed) | {"position_offset": offset}
    if "embedding_size" not in family.settings:
        allowed["embedding_size"] = config.hidden_size
    if family.settings.get("mlm_activation") is not None:
        allowed["mlm_activation"] = config.hidden_act
    head = (config.architectures or [BASE + ENCODER])[0].removeprefix(BASE)
    if head != ENCODER or config.pooler_activation is not None:
        allowed["pooler_activation"] = family.poolers.get(head)
    reasons = [
        f"{name} is {getattr(config, name)}, and {family.model_type} has {value}"
        for name, value in allowed.items()
        if getattr(config, name) != value
    ]
    if config.type_vocab_size == 0 and "type_vocab_size" in family.settings:
        reasons.append(f"it has no token types, and {family.model_type} needs them")
    return reasons


def zero_padded_twin(model: SlimBertPreTrainedModel) -> SlimBertPreTrainedModel:
    """Make a model with the same outputs that stock classes can express.

    Missing heads and FFN units come back as zeros, shared keys and values are repeated. Channels of
    the hidden state cannot come back: a LayerNorm would count their zeros.

    Raises:
        CheckpointError: If something cannot be expressed even so, such as a window.
    """
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    widths = layer_widths(config)
    heads = config.hidden_size // config.head_dim
    width = max((layer.intermediate_size for layer in widths), default=0)
    full = [replace(w, heads=heads, kv_heads=heads, intermediate_size=width) for w in widths]
    twin_config = with_widths(config, full)
    reasons = _narrowness(config) + _window_reasons(widths) + _family_reasons(config)
    if reasons:
        raise CheckpointError(
            fault_list(f"{config.family} cannot express this model", reasons),
            "export it as ONNX, or keep it as slim_bert",
        )
    tensors = dict(model.state_dict())
    prefix = "" if type(model).__name__ == BASE + ENCODER else "bert."
    for number, layer in enumerate(widths):
        tensors |= _padded(tensors, f"{prefix}layers.{number}.", layer, full[number])
    return rebuilt(model, twin_config, tensors)


def _narrowness(config: SlimBertConfig) -> list[str]:
    """Why a hidden state that lost channels fits no number of heads, whatever is padded."""
    size, head, widths = config.hidden_size, config.head_dim, layer_widths(config)
    most = max((layer.heads for layer in widths), default=0)
    padding = "and a LayerNorm cannot be padded"
    if widths and size % head:
        return [f"the hidden size of {size} is no multiple of the heads' {head}, {padding}"]
    if most * head > size:
        return [f"{most} heads of {head} are wider than the hidden size of {size}, {padding}"]
    return []


def _padded(
    tensors: dict[str, Tensor], layer: str, old: LayerWidths, new: LayerWidths
) -> dict[str, Tensor]:
    """One layer's tensors in their new shapes, zeros where nothing was."""
    inner, ffn = new.heads * new.head_dim, new.intermediate_size
    padded = {
        f"{layer}attention.output.weight": _grown(
            tensors[f"{layer}attention.output.weight"], 1, inner
        ),
        f"{layer}ffn.output.weight": _grown(tensors[f"{layer}ffn.output.weight"], 1, ffn),
    }
    for kind in ("weight", "bias"):
        name = f"{layer}attention.query.{kind}"
        padded[name] = _grown(tensors[name], 0, inner)
        for part in ("key", "value"):
            name = f"{layer}attention.{part}.{kind}"
            padded[name] = _grown(_unshared(tensors[name], old), 0, inner)
        name = f"{layer}ffn.intermediate.{kind}"
        padded[name] = _grown(tensors[name], 0, ffn)
    return padded


def _unshared(tensor: Tensor, widths: LayerWidths) -> Tensor:
    """Rows of a key or value tensor, once for every query head: (heads * head_dim, ...)."""
    if widths.heads == widths.kv_heads:
        return tensor
    by_head = tensor.view(widths.kv_heads, widths.head_dim, *tensor.shape[1:])
    return by_head.repeat_interleave(widths.heads // widths.kv_heads, dim=0).flatten(0, 1)


def _grown(tensor: Tensor, dim: int, size: int) -> Tensor:
    """The tensor with zeros behind it along one dimension."""
    shape = list(tensor.shape)
    shape[dim] = size - shape[dim]
    return torch.cat([tensor, tensor.new_zeros(shape)], dim)
