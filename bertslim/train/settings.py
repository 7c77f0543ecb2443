"""What training is asked to do, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bertslim.errors import SettingsError, fault_list


def batches_of(rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has; the last may be smaller."""
    return -(-rows // batch_size)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train; the result depends on everything but `accumulation` and `device`."""

    epochs: int
    batch_size: int
    """Examples per optimisation step, over all processes and micro-batches."""
    accumulation: int
    """In how many micro-batches a step is computed: less memory, the same gradient."""
    learning_rate: float
    weight_decay: float
    warmup: float
    """Part of all steps in which the learning rate rises."""
    clip: float
    """Largest L2 norm of the gradient."""
    dropout: float
    freeze_embeddings: bool
    precision: Literal["auto", "fp32", "bf16"]
    seed: int
    device: Literal["auto", "cpu", "cuda"]

    def steps(self, rows: int) -> int:
        """Return how many steps a run over so many rows takes."""
        return self.epochs * batches_of(rows, self.batch_size)

    def __post_init__(self) -> None:
        faults = [fault for fault, fine in self._checks().items() if not fine]
        if faults:
            raise SettingsError(fault_list("training cannot start", faults))

    def _checks(self) -> dict[str, bool]:
        return {
            "--epochs must be at least 1": self.epochs >= 1,
            "--batch-size must be at least 1": self.batch_size >= 1,
            "--accumulation must be at least 1": self.accumulation >= 1,
            "--learning-rate must be above 0": self.learning_rate > 0,
            "--weight-decay must not be negative": self.weight_decay >= 0,
            "--warmup must lie between 0 and 1": 0 <= self.warmup <= 1,
            "--clip must be above 0": self.clip > 0,
            "--dropout must be at least 0 and below 1": 0 <= self.dropout < 1,
            "--seed must not be negative": self.seed >= 0,
        }


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What happened, over all sessions of a run that was resumed."""

    losses: tuple[Mapping[str, float], ...]
    """Per epoch, the mean of each named loss and of the gradient's norm before clipping."""
    metrics: tuple[float, ...]
    """Per epoch, what `evaluate` gave."""
    best_epoch: int
    """The epoch, from 1, whose weights were kept."""
    steps: int
    examples: int
    tokens: int
    seconds: float
    """Time spent in steps, without evaluation and saving."""
    tokens_per_second: float
    precision: Literal["fp32", "bf16"]
    processes: int
