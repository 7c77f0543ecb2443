"""Passes over the examples that units are judged by, with labels and without training anything."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.batching import collate, items_per_row
from bertslim.train.prediction import row_batches

Inputs = dict[str, Tensor]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Run a model without dropout and without gradients of its weights; it is then as it was."""
    mode, wanted = model.training, [p for p in model.parameters() if p.requires_grad]
    model.train(mode=False).requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        model.train(mode)
        for parameter in wanted:
            parameter.requires_grad_()


def labelled_batches(
    model: SlimBertPreTrainedModel, evidence: Evidence, description: str
) -> Iterator[tuple[Inputs, int]]:
    """Yield padded batches with the number of items that their mean loss is a mean of.

    Those without any label are left out: their mean loss is not a number.
    """
    device = next(model.parameters()).device
    for rows in row_batches(evidence.data, evidence.batch_size, evidence.masking, description):
        batch = collate(rows, model.config.padding_id)
        if items := int(items_per_row(batch).sum()):
            yield {n: torch.from_numpy(column).to(device) for n, column in batch.items()}, items
