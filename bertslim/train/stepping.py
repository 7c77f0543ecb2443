"""One optimisation step, on one process or on many."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn

from bertslim.train.batching import TURN, Batch, MicroBatch, micro_batches
from bertslim.train.objectives import Objective
from bertslim.train.optimisation import clip_gradients
from bertslim.train.precision import Precision, autocast
from bertslim.train.teacher import TEACHER, Teacher

EVALUATION_TIMEOUT = timedelta(hours=6)
"""How long the other processes wait while the first one evaluates."""

GRADIENT_NORM = "gradient norm"


def join_processes(device: torch.device) -> Accelerator:
    """Join the processes that torchrun started, or be the only one."""
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no",  # the step's own autocast: accelerate keeps one choice per process
        kwargs_handlers=[
            # A head may leave the pooler out, and DDP would wait for its gradient.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=EVALUATION_TIMEOUT),
        ],
    )


class Lesson(nn.Module):
    """From a batch to its losses, as one module: student, teacher and objective.

    DistributedDataParallel has to see the losses to know which weights had a part in them. An
    objective that is a module has weights of its own, which are trained with the student's.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        teacher: Teacher | None,
        asked: Mapping[str, bool],
    ) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        self.teacher = teacher
        self.asked = asked

    def settle(self, device: torch.device) -> None:
        """Let the teacher get ready on the device of the training."""
        if self.teacher is not None:
            self.teacher.settle(device)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named losses of a batch."""
        own = {name: column for name, column in batch.items() if not name.startswith(TEACHER)}
        taught = None if self.teacher is None else self.teacher.answers(batch)
        return self.objective(self.student(**own, **self.asked), taught, own)


class Lessons(nn.Module):
    """A lesson for each of several tasks; a batch names the one that it is for."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        super().__init__()
        self.lessons = nn.ModuleList(lessons)

    def settle(self, device: torch.device) -> None:
        """Let all teachers get ready on the device of the training."""
        for lesson in self.lessons:
            cast("Lesson", lesson).settle(device)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named losses of a batch; see `TURN`."""
        turn = next(name for name in batch if name.startswith(TURN))
        own = {name: column for name, column in batch.items() if name != turn}
        losses: dict[str, Tensor] = self.lessons[int(turn.removeprefix(TURN))](own)
        return losses


@dataclass(frozen=True, slots=True)
class Stepper:
    """What every step needs; a step changes the weights and the optimiser's moments only."""

    accelerator: Accelerator
    lesson: nn.Module
    """A `Lesson`, or `Lessons`, wrapped where there are several processes."""
    optimizer: torch.optim.Optimizer
    precision: Precision
    accumulation: int
    clip: float
    seed: int

    @property
    def trained(self) -> nn.Module:
        """What holds the trained weights: the `Lesson` itself, or the `Lessons`."""
        lesson: nn.Module = self.accelerator.unwrap_model(self.lesson)
        return lesson

    def step(self, batch: Batch, number: int) -> dict[str, Tensor]:
        """Move the weights once.

        Returns:
            This process's part of each loss and of the gradient's norm, to be summed over the
            processes. They are not read here: a GPU would be waited for. Empty if the batch has no
            item to learn from.
        """
        self._seed(number)
        ranks, rank = self.accelerator.num_processes, self.accelerator.process_index
        parts = list(micro_batches(batch, accumulation=self.accumulation, rank=rank, ranks=ranks))
        if not parts:
            return {}
        losses: dict[str, Tensor] = {}
        for part in parts:
            # Gradients are exchanged once a step, during its last backward pass.
            exchange = part is parts[-1]
            with nullcontext() if exchange else self.accelerator.no_sync(self.lesson):
                for name, loss in self._backward(part).items():
                    losses[name] = losses.get(name, 0) + loss / ranks
        losses[GRADIENT_NORM] = clip_gradients(self.optimizer, self.clip) / ranks
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses

    def _backward(self, part: MicroBatch) -> dict[str, Tensor]:
        batch = {name: self._tensor(column) for name, column in part.batch.items()}
        with autocast(self.precision, self.accelerator.device):
            losses = self.lesson(batch)
        losses = {name: loss * part.share for name, loss in losses.items()}
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}

    def _tensor(self, column: np.ndarray) -> Tensor:
        return torch.from_numpy(column).to(self.accelerator.device, non_blocking=True)

    def _seed(self, number: int) -> None:
        """Draw the step's random numbers from its own seed: nothing to remember when resuming."""
        key = np.random.SeedSequence([self.seed, number, self.accelerator.process_index])
        torch.manual_seed(int(key.generate_state(1)[0]))
