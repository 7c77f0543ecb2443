"""How much the loss moves when a head is silenced (Michel, Levy and Neubig 2019)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.passes import check_gradients, frozen, labelled_batches
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel


def head_importance(
    model: SlimBertPreTrainedModel, kept: Sequence[Tensor], evidence: Evidence
) -> list[Tensor]:
    """Score every head by how much the loss moves when it is silenced a little.

    One forward and one backward pass per batch. The paper takes the absolute value per example,
    its code per token, where what one token gains does not make up for what another loses:

        example: I_h = E_x | sum_t Att_h(x)_t . dL(x) / dAtt_h(x)_t |
        token:   I_h = E_x sum_t | Att_h(x)_t . dL(x) / dAtt_h(x)_t |

    Args:
        model: The model; its weights get no gradient.
        kept: Per layer (heads,), False for a head that counts as removed.
        evidence: The examples.

    Returns:
        Per layer (heads,): I_h, in float64; 0 for what counts as removed.

    Raises:
        BertslimError: If a gradient is not a finite number, or all of them are 0.
    """
    device = next(model.parameters()).device
    # xi_h: (heads,), 1 where the head is there
    gates = [mask.to(device, torch.float32).requires_grad_() for mask in kept]
    totals = [torch.zeros(len(mask), dtype=torch.float64, device=device) for mask in kept]
    with frozen(model), _contexts_of(model) as contexts:
        for inputs, items in labelled_batches(model, evidence, "scoring heads"):
            contexts.clear()
            # the loss is a mean, and each example's own loss is differentiated
            loss = model(**inputs, gates=Gates(heads=gates)).loss * items
            gradients = torch.autograd.grad(loss, contexts)
            for total, context, gradient in zip(totals, contexts, gradients, strict=True):
                # what each token gives to dL(x) / dxi_h: (batch, targets, heads)
                moves = _per_head(context.detach() * gradient, len(total))
                if evidence.score == "example":
                    moves = moves.sum(dim=1, keepdim=True)
                total += moves.abs().sum(dim=(0, 1))
    check_gradients(totals, len(evidence.data))
    return [total.cpu() / len(evidence.data) for total in totals]


def _per_head(products: Tensor, heads: int) -> Tensor:
    """Sum (batch, targets, heads * head_dim) over each head's own channels."""
    return products.view(*products.shape[:2], heads, -1 if heads else 0).sum(dim=-1)


@contextmanager
def _contexts_of(model: SlimBertPreTrainedModel) -> Iterator[list[Tensor]]:
    """Collect what the heads of each layer say, side by side: (batch, targets, heads * head_dim).

    These are the inputs of the output projections, in which the gates are already.
    """
    contexts: list[Tensor] = []

    def collect(_: nn.Module, inputs: tuple[Tensor]) -> None:
        contexts.append(inputs[0])

    paths = [f"layers.{number}.attention.output" for number in range(len(model.encoder.layers))]
    projections = [model.encoder.get_submodule(path) for path in paths]
    handles = [projection.register_forward_pre_hook(collect) for projection in projections]
    try:
        yield contexts
    finally:
        for handle in handles:
            handle.remove()
