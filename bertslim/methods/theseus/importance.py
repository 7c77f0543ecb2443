"""How much the loss moves when a unit of the feed-forward part is silenced."""

import torch
from torch import Tensor

from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.train.batching import collate, items_per_row
from bertslim.train.examples import Examples
from bertslim.train.prediction import row_batches

MOST_ROWS, ROWS_AT_ONCE = 2048, 32
"""Rows that are looked at; each has a gate of its own for every unit."""


def unit_importance(model: SlimBertPreTrainedModel, learnt: Examples) -> list[Tensor]:
    """Score every FFN unit on training rows, as Michel et al. (2019) score heads.

    I_u = E_x | dL(x) / d xi_u |, where xi_u multiplies unit u's activation and is 1.

    Args:
        model: The predecessor; its weights get no gradient.
        learnt: The first rows are looked at.

    Returns:
        Per layer (units,).
    """
    widths = [layer.intermediate_size for layer in layer_widths(model.config)]
    device = next(model.parameters()).device
    totals = [torch.zeros(width, dtype=torch.float64, device=device) for width in widths]
    rows_seen = learnt.encoded.select(range(min(MOST_ROWS, len(learnt.encoded))))
    model.train(False)
    for rows in row_batches(rows_seen, ROWS_AT_ONCE, learnt.masking, "scoring FFN units"):
        batch = collate(rows, model.config.padding_id)
        items = int(items_per_row(batch).sum())
        if items == 0:
            continue
        inputs = {name: torch.from_numpy(column).to(device) for name, column in batch.items()}
        gates = [torch.ones(len(rows), w, device=device, requires_grad=True) for w in widths]
        # the loss is a mean, and each example's own loss is differentiated
        loss = model(**inputs, gates=Gates(ffn=gates)).loss * items
        for total, gradient in zip(totals, torch.autograd.grad(loss, gates), strict=True):
            total += gradient.abs().sum(dim=0)
    return [total.cpu() for total in totals]
