"""Removing attention heads by their gradient importance (Michel, Levy and Neubig 2019)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.console import track
from bertslim.errors import SettingsError
from bertslim.methods.prune_heads.importance import head_importance
from bertslim.methods.prune_heads.ranking import least_important, normalised
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.train.encoding import Masking

STEP = 0.1
"""Fraction of all heads that goes before the rest is scored again (paper §4.2)."""

Scores = tuple[tuple[float, ...], ...]
"""Importance per layer and head."""


@dataclass(frozen=True, slots=True)
class PruneHeads:
    """Settings of `prune_heads`.

    Attributes:
        remove: Fraction of all heads to remove.
        keep_at_least: Heads that every layer keeps.
        batch_size: Examples per backward pass; it changes the speed, not the scores.
    """

    remove: float
    keep_at_least: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What was removed, and why.

    Attributes:
        removed: Per layer, the removed heads, numbered as in the input.
        order: (layer, head) in the order of removal, least important first.
        scores: Importance of all heads before anything was removed, per-layer L2 norm 1.
        scored_examples: How many examples each scoring saw.
    """

    removed: dict[int, list[int]]
    order: tuple[tuple[int, int], ...]
    scores: Scores
    scored_examples: int


def prune_heads(
    model: SlimBertPreTrainedModel,
    settings: PruneHeads,
    data: Dataset,
    masking: Masking | None = None,
) -> tuple[SlimBertPreTrainedModel, HeadReport]:
    """Remove the least important heads, scoring the remaining ones anew after every tenth.

    Args:
        model: A fine-tuned model; it is left as it is.
        settings: How many heads go.
        data: Encoded training examples with labels.
        masking: Makes the labels where these are words to guess; the same words at every scoring.

    Returns:
        The smaller model and what was done.

    Raises:
        SettingsError: If so many heads cannot go while every layer keeps its minimum.
    """
    heads = [width.heads for width in layer_widths(model.config)]
    goal = _heads_to_remove(heads, settings)
    per_step = max(1, math.ceil(STEP * sum(heads)))
    kept = [torch.ones(count, dtype=torch.bool) for count in heads]
    order: list[tuple[int, int]] = []
    first: list[Tensor] = []
    for _ in track(range(math.ceil(goal / per_step)), "scoring heads"):
        found = head_importance(model, kept, data, settings.batch_size, masking)
        scores = normalised(found, kept)
        first = first or scores
        count = min(per_step, goal - len(order))
        for layer, head in least_important(scores, kept, count, settings.keep_at_least):
            kept[layer][head] = False
            order.append((layer, head))
    removed = {n: (~mask).nonzero().flatten().tolist() for n, mask in enumerate(kept)}
    report = HeadReport(
        removed={layer: found for layer, found in removed.items() if found},
        order=tuple(order),
        scores=tuple(tuple(layer.tolist()) for layer in first),
        scored_examples=len(data),
    )
    return remove_heads(model, report.removed), report


def _heads_to_remove(heads: Sequence[int], settings: PruneHeads) -> int:
    goal = round(settings.remove * sum(heads))
    removable = sum(max(0, count - settings.keep_at_least) for count in heads)
    if goal > removable:
        raise SettingsError(
            f"--remove {settings.remove} asks for {goal} of {sum(heads)} heads, but with "
            f"--keep-at-least {settings.keep_at_least} only {removable} can go",
            "lower one of them",
        )
    if goal == 0:
        raise SettingsError(
            f"--remove {settings.remove} removes none of {sum(heads)} heads", "raise it"
        )
    return goal
