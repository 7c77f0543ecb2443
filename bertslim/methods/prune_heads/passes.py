"""Passes over the examples that units are judged by, with labels and without training anything."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bertslim.errors import BertslimError
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


def check_gradients(gradients: Sequence[Tensor], examples: int) -> None:
    """Refuse gradients from which nothing can be told.

    Raises:
        BertslimError: If they are not finite, or all 0.
    """
    if not all(found.isfinite().all() for found in gradients):
        raise BertslimError(
            f"the gradients of the loss on {examples} training examples are not all finite numbers",
            "the model or its labels are out of range: bertslim evaluate shows how good it is",
        )
    if not any(found.any() for found in gradients):
        raise BertslimError(
            f"nothing moves the loss on {examples} training examples: all gradients are 0",
            "the examples have nothing to learn in them: check the task's labels, or raise "
            "--examples",
        )
