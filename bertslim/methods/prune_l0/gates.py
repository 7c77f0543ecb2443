"""Tensors for gates: by kind and layer."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from bertslim.methods.prune_l0.settings import Kind
from bertslim.model.configuration import SlimBertConfig, layer_widths
from bertslim.model.modeling import Gates

PerKind = Mapping[Kind, Sequence[Tensor]]
"""By kind, a tensor for each layer, (heads,) or (units,); of `hidden` a single one, (hidden,)."""


def gate_counts(config: SlimBertConfig, kinds: Sequence[Kind]) -> dict[Kind, list[int]]:
    """Count what a model has of these kinds."""
    widths = layer_widths(config)
    every: dict[Kind, list[int]] = {
        "heads": [layer.heads for layer in widths],
        "ffn": [layer.intermediate_size for layer in widths],
        "hidden": [config.hidden_size],
    }
    return {kind: every[kind] for kind in kinds}


def as_gates(values: PerKind) -> Gates:
    """Return the values as the encoder takes them."""
    hidden = values.get("hidden")
    return Gates(values.get("heads"), values.get("ffn"), hidden[0] if hidden else None)
