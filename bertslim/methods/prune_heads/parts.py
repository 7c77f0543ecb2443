"""The parts of a model that can be narrowed: the attention and the FFN of every layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn

from bertslim.model.configuration import SlimBertConfig, layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_ffn_units, remove_heads

Kind = Literal["heads", "ffn"]
KINDS: tuple[Kind, ...] = ("heads", "ffn")


@dataclass(frozen=True, slots=True)
class Part:
    """The heads of a layer, or its FFN units; either way, `units`."""

    layer: int
    kind: Kind


Kept = Mapping[Part, Tensor]
"""Per part (units,), True for those that stay."""


def parts_of(config: SlimBertConfig) -> tuple[Part, ...]:
    """List all parts in the order in which the model computes them."""
    return tuple(Part(layer, kind) for layer in range(config.num_hidden_layers) for kind in KINDS)


def units_in(config: SlimBertConfig, part: Part) -> int:
    """Count the units of a part."""
    widths = layer_widths(config)[part.layer]
    return widths.heads if part.kind == "heads" else widths.intermediate_size


def channels_of(config: SlimBertConfig, part: Part) -> int:
    """Return how many channels a unit has: a head's size, or one."""
    return layer_widths(config)[part.layer].head_dim if part.kind == "heads" else 1


def output_of(model: SlimBertPreTrainedModel, part: Part) -> nn.Linear:
    """Return the projection that reads the units' channels: (units * channels) -> hidden."""
    block = "attention" if part.kind == "heads" else "ffn"
    return cast("nn.Linear", model.encoder.get_submodule(f"layers.{part.layer}.{block}.output"))


def widths_of(kept: Kept) -> dict[Part, int]:
    """Count what is left of each part."""
    return {part: int(mask.sum()) for part, mask in kept.items()}


def cut(model: SlimBertPreTrainedModel, kept: Kept) -> SlimBertPreTrainedModel:
    """Return a model with nothing but the kept units; it shares no weights with `model`."""
    gone: dict[Kind, dict[int, list[int]]] = {"heads": {}, "ffn": {}}
    for part, mask in kept.items():
        gone[part.kind][part.layer] = (~mask).nonzero().flatten().tolist()
    return remove_ffn_units(remove_heads(model, gone["heads"]), gone["ffn"])
