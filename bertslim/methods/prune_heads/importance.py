"""How much the loss moves when a head is silenced (Michel, Levy and Neubig 2019)."""

from collections.abc import Iterator, Sequence

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.train.batching import Batch, collate, items_per_row, length_buckets, rows_at
from bertslim.train.encoding import Masking, mask_by_number


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
