"""Epochs, selection, saving and stopping around the optimisation steps."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from accelerate.utils import broadcast
from torch import Tensor
from transformers import PreTrainedModel

from bertslim.console import note, track
from bertslim.errors import TrainingError
from bertslim.model.multitask import MultiTaskModel
from bertslim.train.feeding import Feed
from bertslim.train.interruption import StopRequest
from bertslim.train.optimisation import rate_flags, scale_learning_rates, warm_up_and_decay
from bertslim.train.resume import (
    Progress,
    ResumeFolder,
    copy_weights,
    load_state,
    put_weights,
    save_state,
)
from bertslim.train.settings import TrainSettings
from bertslim.train.stepping import GRADIENT_NORM, Stepper

Model = TypeVar("Model", bound=PreTrainedModel | MultiTaskModel)

STEPS_BETWEEN_READINGS = {"cpu": 1, "cuda": 16}
"""To read a loss is to wait for the GPU."""


class Scored(Protocol):
    """What `evaluate` returns; the larger `value`, the better."""

    @property
    def value(self) -> float:
        """The figure that models are selected by."""


Evaluate = Callable[[Model], Scored]
BeforeStep = Callable[[int], None]
"""Is told each step's number, from 0, before it is taken: what a curriculum goes by."""


@dataclass(slots=True)
class Session(Generic[Model]):
    """One run of the program over a training run, which may take several."""

    model: Model
    feed: Feed
    settings: TrainSettings
    stepper: Stepper
    request: StopRequest
    evaluate: Evaluate[Model] | None
    before_step: BeforeStep | None
    resume: ResumeFolder | None
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    unread: list[dict[str, Tensor]] = field(default_factory=list)
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that reports, evaluates and saves."""
        return bool(self.stepper.accelerator.is_main_process)

    def run(self) -> None:
        """Train from where the saved state ends to the last epoch; leave the best weights."""
        self._load()
        for epoch in range(self.progress.epoch, self.settings.epochs):
            batches = self.feed.deal(epoch)
            self._learn(batches)
            self._finish_epoch(len(batches))
        (stop,) = self._heard(self.request.made)
        if stop:
            raise KeyboardInterrupt
        if self.best:
            put_weights(self.model, self.best)

    def _learn(self, batches: Sequence[Sequence[int]]) -> None:
        """Take the steps of an epoch that have not been taken yet."""
        started, device = time.monotonic(), self.stepper.accelerator.device.type
        for indices in self._tracked(batches[self.progress.batch :]):
            self._step(indices, steps=self.settings.epochs * len(batches))
            is_last = self.progress.batch == len(batches)
            if is_last or self.progress.step % STEPS_BETWEEN_READINGS[device] == 0:
                self._read_losses()
                self.progress.seconds += time.monotonic() - started
                self._save_or_stop()
                started = time.monotonic()

    def _step(self, indices: Sequence[int], steps: int) -> None:
        progress = self.progress
        if self.before_step is not None:
            self.before_step(progress.step)
        batch = self.feed.batch(indices, progress.step)
        factor = warm_up_and_decay(progress.step, steps, self.settings.warmup)
        scale_learning_rates(self.stepper.optimizer, factor)
        self.unread.append(self.stepper.step(batch, progress.step))
        progress.step += 1
        progress.batch += 1
        progress.examples += len(indices)
        progress.tokens += int(batch["attention_mask"].sum())

    def _read_losses(self) -> None:
        """Add up the losses of the steps since the last reading, over all processes.

        Raises:
            TrainingError: one of them is not finite.
        """
        first = self.progress.step - len(self.unread) + 1
        steps = {step: losses for step, losses in enumerate(self.unread, first) if losses}
        self.unread = []
        if not steps:
            return
        # several tasks may have losses of different names: at a step the others' are 0
        names = dict.fromkeys(name for losses in steps.values() for name in losses)
        nothing = torch.zeros((), device=self.stepper.accelerator.device)
        parts = [[losses.get(name, nothing) for name in names] for losses in steps.values()]
        stacked = torch.stack([torch.stack(part) for part in parts])
        totals = self.stepper.accelerator.reduce(stacked, "sum").tolist()  # (steps, names)
        for step, values in zip(steps, totals, strict=True):
            for name, value in zip(names, values, strict=True):
                self._add_loss(step, name, value)

    def _add_loss(self, step: int, name: str, value: float) -> None:
        if not math.isfinite(value):
            epoch, rates = self.progress.epoch + 1, rate_flags(self.stepper.optimizer)
            raise TrainingError(
                f"training diverged: {name} is {value} at step {step}, epoch {epoch}",
                f"lower {rates}, raise --warmup, or use --precision fp32",
            )
        sums = self.progress.sums
        sums[name] = sums.get(name, 0.0) + value

    def _finish_epoch(self, batches: int) -> None:
        """Score the epoch, keep the best weights, and save."""
        progress = self.progress
        progress.losses.append({name: total / batches for name, total in progress.sums.items()})
        told = f"epoch {progress.epoch + 1}/{self.settings.epochs}: loss {self._loss / batches:.4f}"
        progress.epoch, progress.batch, progress.sums = progress.epoch + 1, 0, {}
        if self.evaluate is None:
            progress.best_epoch = progress.epoch
        else:
            self._select(self._score(self.evaluate))
            best = ", the best so far" if progress.best_epoch == progress.epoch else ""
            told += f", {progress.metrics[-1]:.4f} on the rows held out{best}"
        if self.is_first:
            note(told)
        self._save()

    def _score(self, evaluate: Evaluate[Model]) -> float:
        """Let the first process score the model and tell the others."""
        value = 0.0
        if self.is_first:
            self.model.train(False)
            with torch.no_grad():
                value = evaluate(self.model).value
            self.model.train(True)
        device = self.stepper.accelerator.device
        told: Tensor = broadcast(torch.tensor(value, dtype=torch.float64, device=device))
        return float(told)

    def _select(self, value: float) -> None:
        progress = self.progress
        if value > max(progress.metrics, default=-math.inf):
            progress.best_epoch = progress.epoch
            self.best = copy_weights(self.model)
        progress.metrics.append(value)

    def _tracked(self, batches: Sequence[Sequence[int]]) -> Iterable[Sequence[int]]:
        return track(batches, self._description) if self.is_first else batches

    @property
    def _loss(self) -> float:
        """The sum over this epoch's steps so far."""
        return sum(v for name, v in self.progress.sums.items() if name != GRADIENT_NORM)

    def _description(self) -> str:
        progress = self.progress
        return (
            f"epoch {progress.epoch + 1}/{self.settings.epochs}, "
            f"loss {self._loss / max(1, progress.batch):.4f}, "
            f"{progress.tokens_per_second:,.0f} tokens/s"
        )

    def _save_or_stop(self) -> None:
        """Save when it is time, stop when any process was asked to; all processes decide alike."""
        due = self.resume is not None and time.monotonic() - self.saved_at > self.resume.seconds
        stop, save = self._heard(self.request.made, self.is_first and due)
        if stop or save:
            self._save()
        if stop:
            raise KeyboardInterrupt

    def _heard(self, *flags: bool) -> list[bool]:
        """Tell of each flag whether any process has it up."""
        accelerator = self.stepper.accelerator
        own = torch.tensor(flags, dtype=torch.float32, device=accelerator.device)
        return [up > 0 for up in accelerator.reduce(own, "sum").tolist()]

    def _save(self) -> None:
        if self.resume is not None and self.is_first:
            trained, optimizer = self.stepper.trained, self.stepper.optimizer
            save_state(self.resume, self.progress, trained, optimizer, self.best)
        self.saved_at = time.monotonic()
        # Nobody leaves, and has torchrun end the others, while the first process writes.
        self.stepper.accelerator.wait_for_everyone()

    def _load(self) -> None:
        if self.resume is None:
            return
        stepper, accelerator = self.stepper, self.stepper.accelerator
        self.progress, self.best = load_state(self.resume, stepper.trained, stepper.optimizer)
        step = torch.tensor([self.progress.step], device=accelerator.device)
        steps = accelerator.gather(step).tolist()
        if len(set(steps)) > 1:
            raise TrainingError(
                f"the processes found different training states in {self.resume.path}",
                "put the output on a file system that all hosts share",
            )
        if self.is_first and self.progress.step:
            note(f"going on from step {self.progress.step} of {self.resume.path}")
