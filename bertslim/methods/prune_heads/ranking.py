"""Which heads matter least, given their scores."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from bertslim.model.configuration import SlimBertConfig, layer_widths

Head = tuple[int, int]
"""Layer and number, as in the model that is pruned."""


def all_heads(config: SlimBertConfig) -> list[Tensor]:
    """Return per layer (heads,), True for each: nothing is removed yet."""
    return [torch.ones(width.heads, dtype=torch.bool) for width in layer_widths(config)]


def without(kept: Sequence[Tensor], heads: Collection[Head]) -> list[Tensor]:
    """Return what is left when these go as well."""
    left = [mask.clone() for mask in kept]
    for layer, head in heads:
        left[layer][head] = False
    return left


def heads_of(masks: Sequence[Tensor], *, kept: bool) -> list[Head]:
    """List the heads that are there, or those that are not, layer by layer."""
    chosen = [(mask if kept else ~mask).nonzero().flatten().tolist() for mask in masks]
    return [(layer, head) for layer, heads in enumerate(chosen) for head in heads]


def by_layer(heads: Iterable[Head]) -> dict[int, list[int]]:
    """Return the numbers of these heads in each layer that has some, in ascending order."""
    found: dict[int, list[int]] = {}
    for layer, head in sorted(heads):
        found.setdefault(layer, []).append(head)
    return found


def normalised(scores: Sequence[Tensor], kept: Sequence[Tensor]) -> list[Tensor]:
    """Divide each layer's scores by their L2 norm over the heads that are still there.

    I~_h = I_h / sqrt(sum_h' I_h'^2), h' in the layer of h (paper 3.3).
    """
    masked = [score * mask for score, mask in zip(scores, kept, strict=True)]
    return [score / norm if (norm := score.norm()) > 0 else score for score in masked]


def least_important(
    scores: Sequence[Tensor], kept: Sequence[Tensor], count: int, keep_at_least: int
) -> Iterator[Head]:
    """Yield the `count` least important heads, never emptying a layer below its minimum."""
    candidates = sorted(
        (float(scores[layer][head]), layer, head) for layer, head in heads_of(kept, kept=True)
    )
    left = [int(mask.sum()) for mask in kept]
    for _, layer, head in candidates:
        if count == 0:
            return
        if left[layer] > keep_at_least:
            left[layer] -= 1
            count -= 1
            yield layer, head
