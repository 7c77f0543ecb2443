"""The objective that a plan describes: its terms, weighed, and what is learnt along with them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bertslim.methods.distill.plan import Plan
from bertslim.methods.distill.terms import (
    ProjectedStates,
    Representation,
    Term,
    attention_loss,
    cosine_loss,
    logit_error,
    patient_loss,
    pseudo_error,
    soft_error,
    task_loss,
)

MAKERS: Mapping[str, Callable[[Plan, Tensor], Term]] = {
    "task": lambda _plan, _start: task_loss,
    "soft": lambda plan, _start: partial(soft_error, temperature=plan.temperature),
    "mse": lambda _plan, _start: logit_error,
    "pseudo": lambda _plan, _start: pseudo_error,
    "patient": lambda plan, _start: partial(patient_loss, pairs=plan.patient_pairs),
    "cosine": lambda _plan, _start: cosine_loss,
    "attention": lambda plan, _start: partial(attention_loss, pairs=plan.pairs),
    "embeddings": lambda _plan, start: ProjectedStates([(0, 0)], start),
    "hidden": lambda plan, start: ProjectedStates(plan.pairs, start),
    "representation": lambda plan, start: Representation(plan.first_states[0], start),
}


class WeightedSum(nn.Module):
    """Terms by name with their weights; terms that are modules learn with the student."""

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.terms = terms
        self.weights = weights
        self.learnt = nn.ModuleList(t for t in self.terms.values() if isinstance(t, nn.Module))

    def forward(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each term times its weight."""
        return {
            name: self.weights[name] * term(student, teacher, batch)
            for name, term in self.terms.items()
        }


def objective_of(plan: Plan, start: Tensor) -> WeightedSum:
    """Build what a plan describes.

    Args:
        plan: What is compared.
        start: (teacher's hidden, student's hidden), where maps between the states begin.
    """
    terms = {name: MAKERS[name](plan, start) for name in plan.weights}
    return WeightedSum(terms, plan.weights)


def first_map(teacher: int, student: int, seed: int) -> Tensor:
    """Return a map between states with no better place to start: the identity, or at random.

    Its columns are orthonormal: a student's state keeps its length.
    """
    if teacher == student:
        return torch.eye(teacher)
    generator = torch.Generator().manual_seed(seed)
    tall = torch.randn(max(teacher, student), min(teacher, student), generator=generator)
    q: Tensor = torch.linalg.qr(tall).Q
    return q if teacher > student else q.T.contiguous()
