"""What training minimises: pure functions from outputs to named losses, which the loop adds up."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bertslim.train.batching import IGNORED_LABEL

Objective = Callable[[Any, Any, Mapping[str, Tensor]], dict[str, Tensor]]
"""(student outputs, teacher outputs or None, batch) -> losses by name, each a mean over the batch's
items: examples, or tokens with a label."""

SILENT = -1e9
"""A logit whose probability is exactly 0."""


def labels_objective(
    student: Any, _teacher: Any, _batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the task's own loss: cross entropy, or the squared error of a regression."""
    return {"task": student.loss}


def teacher_objective(temperature: float, alpha: float) -> Objective:
    """Learn from a teacher's logits and from the labels: alpha * soft + (1 - alpha) * task.

    `soft` is, by the kind of task,
      * a class for each text: T^2 KL, a mean over examples;
      * a class for each token: the same, a mean over the tokens with a label;
      * answers: the same over the places of a text, a mean over the two ends;
      * a score: the squared error, a mean over examples. It has no temperature.

    Masked language models have no logits while they learn from labels, and so no `soft`, unless
    the batch says where they are wanted (`ask_words`).

    Args:
        temperature: T, which softens both distributions.
        alpha: Weight of the teacher, from 0 to 1.
    """

    def objective(student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        soft = soft_loss(student, teacher, batch, temperature)
        return {"soft": alpha * soft, "task": (1 - alpha) * student.loss}

    return objective


def soft_loss(
    student: Any, teacher: Any, batch: Mapping[str, Tensor], temperature: float
) -> Tensor:
    """Return how far the student's logits are from the teacher's; see `teacher_objective`."""
    z, v = compared_logits(student, teacher, batch)
    if z.shape[-1] == 1:
        return squared_error(z, v)
    return divergence(z, v, temperature)


def compared_logits(
    student: Any, teacher: Any, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the student's logits and the teacher's, (items, classes) each, in fp32.

    Items are texts, or tokens with a label, or both ends of each answer, whose classes are places;
    or the tokens at which a masked language model was asked, whose classes are words.
    """
    if student.logits is None:
        return _both_ends(student, batch), _both_ends(teacher, batch)
    z, v = student.logits, teacher.logits
    if z.ndim == 3:
        asked = batch["labels"] != IGNORED_LABEL  # (batch, length)
        z, v = z[asked], v[asked]
    return z.float(), v.float()


def squared_error(z: Tensor, v: Tensor) -> Tensor:
    """Return |z - v|^2 of (items, classes): a mean over items, a sum over classes."""
    return (z - v).square().sum(-1).mean()


def divergence(z: Tensor, v: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(softmax(v / T) || softmax(z / T)) (Hinton et al. 2015, section 2).

    T^2 keeps the gradient's size whatever T is. Averaged over items, summed over classes: several
    published codes average over the classes as well, and so weigh it less.

    Args:
        z: The student's logits, (items, classes).
        v: The teacher's.
        temperature: T.
    """
    return divergences(z, v, temperature).mean()


def divergences(z: Tensor, v: Tensor, temperature: float) -> Tensor:
    """Return the divergence of each item, (items,); see `divergence`."""
    log_q = functional.log_softmax(z / temperature, dim=-1)
    log_p = functional.log_softmax(v / temperature, dim=-1)
    kl = functional.kl_div(log_q, log_p, reduction="none", log_target=True)
    return kl.sum(-1) * temperature**2


def _both_ends(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of starts, then of ends, padding out of the question: (2 batch, length)."""
    logits = torch.cat([outputs.start_logits, outputs.end_logits]).float()
    return logits.masked_fill(batch["attention_mask"].repeat(2, 1) == 0, SILENT)
