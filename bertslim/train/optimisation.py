"""AdamW as BERT is fine-tuned with it: what decays, what is frozen, and how the rate moves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bertslim.model.multitask import MultiTaskModel


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Parameters that move alike.

    Attributes:
        parameters: Which.
        learning_rate: The highest; the schedule's factor is one for all groups.
        weight_decay: AdamW's.
        ascends: Whether they climb the loss, as the multipliers of a constraint do.
        flag: The option that sets the rate, for messages.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    weight_decay: float = 0.0
    ascends: bool = False
    flag: str = "--learning-rate"


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Build AdamW over what is trainable; see `weight_groups`."""
    return grouped_adamw(weight_groups(model, learning_rate, weight_decay))


def weight_groups(
    model: nn.Module, learning_rate: float, weight_decay: float
) -> tuple[Group, Group]:
    """Group what is trainable: vectors (biases and LayerNorms) do not decay."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [p for p in trainable if p.ndim > 1]
    vectors = [p for p in trainable if p.ndim < 2]
    return Group(matrices, learning_rate, weight_decay), Group(vectors, learning_rate)


def grouped_adamw(groups: Sequence[Group]) -> torch.optim.AdamW:
    """Build AdamW over groups that have rates of their own."""
    return torch.optim.AdamW(
        [
            {
                "params": list(group.parameters),
                "lr": group.learning_rate,
                "initial_lr": group.learning_rate,
                "weight_decay": group.weight_decay,
                "maximize": group.ascends,
                "flag": group.flag,
            }
            for group in groups
        ],
        fused=True,
    )


def warm_up_and_decay(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the learning rate at a step (from 0): linear up, then linear to zero.

    The first step already moves: factor (step + 1) / (warm-up steps + 1).
    """
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    return (steps - step) / max(1, steps - rising)


def scale_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every parameter group this part of its highest rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def rate_flags(optimizer: torch.optim.Optimizer) -> str:
    """Name the options that set the rates."""
    return " and ".join(dict.fromkeys(group["flag"] for group in optimizer.param_groups))


def clip_gradients(optimizer: torch.optim.Optimizer, largest: float) -> Tensor:
    """Scale all gradients so that their common L2 norm is at most `largest`; return the norm."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return nn.utils.clip_grad_norm_(parameters, largest)


@contextmanager
def training_mode(
    model: PreTrainedModel | MultiTaskModel, *, dropout: float, freeze_embeddings: bool
) -> Iterator[None]:
    """Put a model into training with this dropout everywhere, and back as it was afterwards.

    Freezing leaves out the word embedding table: half the weights of a small model, whose gradient
    is as large as the table however few words a batch has.
    """
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    before = [module.p for module in dropouts]
    table = model.get_input_embeddings().parameters()
    frozen = [p for p in table if p.requires_grad and freeze_embeddings]
    training = model.training
    for module in dropouts:
        module.p = dropout
    for parameter in frozen:
        parameter.requires_grad_(False)
    model.train(True)
    try:
        yield
    finally:
        for module, probability in zip(dropouts, before, strict=True):
            module.p = probability
        for parameter in frozen:
            parameter.requires_grad_(True)
        model.train(training)
