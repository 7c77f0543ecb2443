"""The only training loop: fine-tuning, recovery and distillation differ in the objective alone."""

from collections.abc import Callable

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from bertslim.errors import TrainingError
from bertslim.train.interruption import postponed_interruption
from bertslim.train.objectives import Objective
from bertslim.train.optimisation import adamw, training_mode
from bertslim.train.precision import choose_device, choose_precision
from bertslim.train.resume import ResumeFolder
from bertslim.train.session import Evaluate, Model, Prepare, Session
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.stepping import Stepper, join_processes

Optimize = Callable[[Model], torch.optim.Optimizer]
"""Builds an optimizer over a model."""


def fit(
    model: Model,
    train: Dataset,
    objective: Objective,
    settings: TrainSettings,
    *,
    teacher: PreTrainedModel | None = None,
    optimize: Optimize[Model] | None = None,
    evaluate: Evaluate[Model] | None = None,
    prepare: Prepare | None = None,
    resume: ResumeFolder | None = None,
) -> tuple[Model, TrainReport]:
    """Train a model in place and leave it with its best weights.

    Args:
        model: what is trained.
        train: encoded rows, as `bertslim.train.batching.collate` takes them.
        objective: turns outputs into named losses.
        settings: see `TrainSettings`.
        teacher: its outputs, computed without gradient and dropout, are given to the objective.
        optimize: builds the optimizer over the model's parameters, from groups whose rates move
            together (`grouped_adamw`). Without it all that is trainable has the settings' rate.
        evaluate: scores the model after each epoch, in the first process only; the best is kept.
            Without it the last epoch is.
        prepare: changes each step's batch before it is learnt from: masks tokens, for example.
        resume: where the run is saved and, if it was interrupted, continued from.

    Raises:
        TrainingError: a loss is not finite, or the state cannot be saved or read.
        UnavailableError: the device or the precision asked for is not there.
        KeyboardInterrupt: on SIGINT and SIGTERM, once the step under way is done and saved.
    """
    if len(train) == 0:
        raise TrainingError("there is no example to train on", "check the task's training files")
    device = choose_device(settings.device)
    dropout, freeze = settings.dropout, settings.freeze_embeddings
    with (
        training_mode(model, dropout=dropout, freeze_embeddings=freeze),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        postponed_interruption() as request,
    ):
        build = optimize or (lambda m: adamw(m, settings.learning_rate, settings.weight_decay))
        stepper = _stepper(model, teacher, objective, settings, build)
        session = Session(model, train, settings, stepper, request, evaluate, prepare, resume)
        session.run()
    return model, _report(session)


def _stepper(
    model: Model,
    teacher: PreTrainedModel | None,
    objective: Objective,
    settings: TrainSettings,
    optimize: Optimize[Model],
) -> Stepper:
    device = choose_device(settings.device)
    accelerator = join_processes(device)
    return Stepper(
        accelerator=accelerator,
        student=accelerator.prepare(model),
        teacher=teacher.to(accelerator.device).eval() if teacher is not None else None,
        optimizer=optimize(model),
        objective=objective,
        precision=choose_precision(settings.precision, device),
        accumulation=settings.accumulation,
        clip=settings.clip,
        seed=settings.seed,
    )


def _report(session: Session[Model]) -> TrainReport:
    progress, stepper = session.progress, session.stepper
    return TrainReport(
        losses=tuple(progress.losses),
        metrics=tuple(progress.metrics),
        best_epoch=progress.best_epoch,
        steps=progress.step,
        examples=progress.examples,
        tokens=progress.tokens,
        seconds=progress.seconds,
        tokens_per_second=progress.tokens_per_second,
        precision=stepper.precision,
        processes=stepper.accelerator.num_processes,
    )
