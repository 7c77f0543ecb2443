"""What goes into the output projections, and how the loss depends on what comes out of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.losses import Loss, label_loss
from bertslim.methods.prune_heads.parts import Part, channels_of, output_of, parts_of, units_in
from bertslim.methods.prune_heads.passes import check_gradients, frozen, labelled_batches
from bertslim.model.modeling import SlimBertPreTrainedModel


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one output projection, y = W a + b, computes for a batch of examples.

    Attributes:
        inputs: a, (examples, targets, units * channels): contexts, or active FFN units.
        gradients: dL/dy, (examples, targets, hidden), L of each example its own loss.
        real: (examples, targets), False for padding.
    """

    inputs: Tensor
    gradients: Tensor
    real: Tensor


def observed(
    model: SlimBertPreTrainedModel, evidence: Evidence, loss: Loss, description: str
) -> Iterator[dict[Part, Seen]]:
    """Run forward and backward over the examples, one pass of each per batch.

    Args:
        model: It is left as it is.
        evidence: The examples.
        loss: What is differentiated.
        description: What the progress bar says.

    Yields:
        Per part what its output projection computed with, batch by batch.
    """
    with frozen(model), _watched(model) as watched:
        for inputs, items in labelled_batches(model, evidence, description):
            watched.clear()
            total = loss(model, inputs, items)
            outputs = [y for _, y in watched.values()]
            gradients = torch.autograd.grad(total, outputs)
            mask = inputs["attention_mask"].bool()
            yield {
                part: Seen(a.detach(), gradient, mask[:, : a.shape[1]])
                for (part, (a, _)), gradient in zip(watched.items(), gradients, strict=True)
            }


def unit_gradients(model: SlimBertPreTrainedModel, evidence: Evidence) -> dict[Part, Tensor]:
    """Return how the loss of each example moves with a gate m on each unit, at m = 1.

    With a gate on every unit of every example, y_t = W (m a_t) + b, so that

        dL/dm_u = sum_t a_tu (W^T dL/dy_t)_u

    and of a head the sum over its channels u.

    Args:
        model: It is left as it is.
        evidence: The examples; those without any label say nothing and are left out.

    Returns:
        Per part (examples, units), float32.

    Raises:
        BertslimError: If a gradient is not a finite number, or all of them are 0.
    """
    found: dict[Part, list[Tensor]] = {part: [] for part in parts_of(model.config)}
    for batch in observed(model, evidence, label_loss, "scoring"):
        for part, seen in batch.items():
            by_input = seen.gradients @ output_of(model, part).weight  # as `inputs`
            moves = (seen.inputs * by_input).sum(dim=1)  # (examples, units * channels)
            found[part].append(moves.view(len(moves), *_shape(model, part)).sum(-1).cpu())
    gradients = {part: torch.cat(batches) for part, batches in found.items()}
    check_gradients(list(gradients.values()), len(evidence.data))
    return gradients


def _shape(model: SlimBertPreTrainedModel, part: Part) -> tuple[int, int]:
    return units_in(model.config, part), channels_of(model.config, part)


@contextmanager
def _watched(model: SlimBertPreTrainedModel) -> Iterator[dict[Part, tuple[Tensor, Tensor]]]:
    """Collect what goes into each output projection, and what comes out of it."""
    seen: dict[Part, tuple[Tensor, Tensor]] = {}

    def watching(part: Part) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            # the first has nothing before it that wants gradients
            seen[part] = inputs[0], output if output.requires_grad else output.requires_grad_()

        return hook

    handles = [
        output_of(model, part).register_forward_hook(watching(part))
        for part in parts_of(model.config)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
