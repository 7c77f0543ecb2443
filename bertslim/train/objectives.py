"""What training minimises: pure functions from outputs to named losses, which the loop adds up."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Objective = Callable[[Any, Any, Mapping[str, Tensor]], dict[str, Tensor]]
"""(student outputs, teacher outputs or None, batch) -> losses by name, each a mean over the batch's
items: examples, or tokens with a label."""


def labels_objective(
    student: Any, _teacher: Any, _batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the task's own loss: cross entropy, or the squared error of a regression."""
    return {"task": student.loss}
