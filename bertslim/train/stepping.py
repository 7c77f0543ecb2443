"""One optimisation step, on one process or on many."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn

from bertslim.train.batching import Batch, MicroBatch, micro_batches
from bertslim.train.objectives import Objective
from bertslim.train.optimisation import clip_gradients
from bertslim.train.precision import Precision, autocast

EVALUATION_TIMEOUT = timedelta(hours=6)
"""How long the other processes wait while the first one evaluates."""

TEACHER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

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


@dataclass(frozen=True, slots=True)
class Stepper:
    """What every step needs; a step changes the weights and the optimiser's moments only."""

    accelerator: Accelerator
    student: nn.Module
    teacher: nn.Module | None
    optimizer: torch.optim.Optimizer
    objective: Objective
    precision: Precision
    accumulation: int
    clip: float
    seed: int

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
            with nullcontext() if exchange else self.accelerator.no_sync(self.student):
                for name, loss in self._backward(part).items():
                    losses[name] = losses.get(name, 0) + loss / ranks
        losses[GRADIENT_NORM] = clip_gradients(self.optimizer, self.clip) / ranks
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses

    def _backward(self, part: MicroBatch) -> dict[str, Tensor]:
        batch = {name: self._tensor(column) for name, column in part.batch.items()}
        with autocast(self.precision, self.accelerator.device):
            student = self.student(**batch)
            losses = self.objective(student, self._teach(batch), batch)
        losses = {name: loss * part.share for name, loss in losses.items()}
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}

    def _teach(self, batch: dict[str, Tensor]) -> object:
        if self.teacher is None:
            return None
        with torch.no_grad():
            return self.teacher(**{name: batch[name] for name in TEACHER_INPUTS if name in batch})

    def _tensor(self, column: np.ndarray) -> Tensor:
        return torch.from_numpy(column).to(self.accelerator.device, non_blocking=True)

    def _seed(self, number: int) -> None:
        """Draw the step's random numbers from its own seed: nothing to remember when resuming."""
        key = np.random.SeedSequence([self.seed, number, self.accelerator.process_index])
        torch.manual_seed(int(key.generate_state(1)[0]))
