"""Removing attention heads by their gradient importance (Michel, Levy and Neubig 2019)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.console import track
from bertslim.errors import SettingsError
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.train.batching import Batch, collate, items_per_row, length_buckets, rows_at
from bertslim.train.encoding import Masking, mask_by_number

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


def head_importance(
    model: SlimBertPreTrainedModel,
    kept: Sequence[Tensor],
    data: Dataset,
    batch_size: int,
    masking: Masking | None = None,
) -> list[Tensor]:
    """Score every head by how much the loss moves when it is silenced a little.

    One forward and one backward pass per batch: each example has its own row of gates, so that
    the absolute value is taken per example, as in the paper (its code takes it per token).

    Args:
        model: The model; its weights get no gradient.
        kept: Per layer (heads,), False for a head that counts as removed.
        data: Encoded examples with labels.
        batch_size: Examples per pass.
        masking: As for `prune_heads`.

    Returns:
        Per layer (heads,): I_h, in float64.
    """
    device = next(model.parameters()).device
    masks = [mask.to(device) for mask in kept]
    totals = [torch.zeros(len(mask), dtype=torch.float64, device=device) for mask in kept]
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.train(False).requires_grad_(False)
    try:
        for batch in _batches(data, batch_size, model.config.padding_id, masking):
            inputs = {name: torch.from_numpy(column).to(device) for name, column in batch.items()}
            rows, items = len(batch["input_ids"]), int(items_per_row(batch).sum())
            # xi_h: (batch, heads), all ones where the head is there
            gates = [mask.float().repeat(rows, 1).requires_grad_() for mask in masks]
            # the loss is a mean, and each example's own loss is differentiated
            loss = model(**inputs, gates=Gates(heads=gates)).loss * items
            gradients = torch.autograd.grad(loss, gates, allow_unused=True)
            # I_h = E_x | dL(x) / d xi_h |
            for total, gradient in zip(totals, gradients, strict=True):
                if gradient is not None:
                    total += gradient.abs().sum(dim=0)
    finally:
        for parameter in wanted:
            parameter.requires_grad_()
    return [total.cpu() / len(data) for total in totals]


def normalised(scores: Sequence[Tensor], kept: Sequence[Tensor]) -> list[Tensor]:
    """Divide each layer's scores by their L2 norm over the heads that are still there."""
    masked = [score * mask for score, mask in zip(scores, kept, strict=True)]
    return [score / norm if (norm := score.norm()) > 0 else score for score in masked]


def least_important(
    scores: Sequence[Tensor], kept: Sequence[Tensor], count: int, keep_at_least: int
) -> Iterator[tuple[int, int]]:
    """Yield the `count` least important heads, never emptying a layer below its minimum."""
    candidates = sorted(
        (float(scores[layer][head]), layer, head)
        for layer, mask in enumerate(kept)
        for head in mask.nonzero().flatten().tolist()
    )
    left = [int(mask.sum()) for mask in kept]
    for _, layer, head in candidates:
        if count == 0:
            return
        if left[layer] > keep_at_least:
            left[layer] -= 1
            count -= 1
            yield layer, head


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


def _batches(
    data: Dataset, batch_size: int, pad_token_id: int, masking: Masking | None
) -> Iterator[Batch]:
    """Yield padded batches, but for those without any label, whose mean loss is not a number."""
    plain = data.with_format(None)
    lengths = [len(ids) for ids in plain["input_ids"]]
    for indices in length_buckets(lengths, batch_size, seed=0, epoch=0):
        rows = rows_at(plain, indices)
        if masking is not None:
            rows = [mask_by_number(row, masking) for row in rows]
        batch = collate(rows, pad_token_id)
        if items_per_row(batch).any():
            yield batch
