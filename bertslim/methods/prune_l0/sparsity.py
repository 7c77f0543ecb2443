"""How much smaller an encoder is, or may be expected to be, with some of its gates closed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bertslim.methods.prune_l0.gates import PerKind
from bertslim.methods.prune_l0.settings import Kind, Measure
from bertslim.model.configuration import SlimBertConfig, layer_widths
from bertslim.model.shapes import (
    LENGTH,
    Count,
    LayerShape,
    layer_flops,
    layer_parameters,
    layer_shapes,
)
from bertslim.model.surgery import kv_heads_left


def sparsity(of: Measure, config: SlimBertConfig, kept: PerKind) -> float:
    """Return the part that is gone when what is not kept is removed."""
    return 1 - sum(_costs(of, config, _shapes_left(config, kept))) / full_size(of, config)


def expected_sparsity(of: Measure, config: SlimBertConfig, opened: PerKind) -> Tensor:
    """Return the part that is expected to go, given each gate's probability to be open.

    Gates are independent and a size is linear in each number, so the expected size is the size
    of the expected numbers: E[hidden heads] = E[hidden] E[heads] (CoFi, section 3.2).
    """
    costs = _costs(of, config, _shapes_expected(config, opened))
    return 1 - torch.stack(costs).sum() / full_size(of, config)


def full_size(of: Measure, config: SlimBertConfig) -> int:
    """Return parameters, or multiply-adds, of all layers as they are."""
    return sum(_costs(of, config, layer_shapes(config)))


def _costs(of: Measure, config: SlimBertConfig, shapes: Sequence[LayerShape[Count]]) -> list[Count]:
    if of == "parameters":
        return [layer_parameters(shape) for shape in shapes]
    return layer_flops(config, shapes, LENGTH)


def _shapes_left(config: SlimBertConfig, kept: PerKind) -> list[LayerShape[int]]:
    """Shapes of the layers without what is not kept."""
    left = []
    for number, widths in enumerate(layer_widths(config)):
        heads = list(range(widths.heads))
        units, hidden = widths.intermediate_size, config.hidden_size
        if "heads" in kept:
            heads = kept["heads"][number].nonzero().flatten().tolist()
        if "ffn" in kept:
            units = int(kept["ffn"][number].sum())
        if "hidden" in kept:
            hidden = int(kept["hidden"][0].sum())
        kv_heads = len(kv_heads_left(heads, widths))
        left.append(LayerShape(hidden, len(heads), kv_heads, units, widths.head_dim, widths.window))
    return left


def _shapes_expected(config: SlimBertConfig, opened: PerKind) -> list[LayerShape[Tensor]]:
    """Expected shapes of the layers; shared keys and values are expected to go with their heads."""
    expected = []
    for number, whole in enumerate(layer_shapes(config)):
        heads = _expected(opened, "heads", number, whole.heads)
        shape = LayerShape(
            hidden=_expected(opened, "hidden", 0, whole.hidden),
            heads=heads,
            kv_heads=heads * (whole.kv_heads / max(1, whole.heads)),
            units=_expected(opened, "ffn", number, whole.units),
            head_dim=whole.head_dim,
            window=whole.window,
        )
        expected.append(shape)
    return expected


def _expected(opened: PerKind, kind: Kind, number: int, whole: int) -> Tensor:
    """Expected number of open gates; all there are where there are no gates."""
    return opened[kind][number].sum() if kind in opened else torch.tensor(float(whole))
