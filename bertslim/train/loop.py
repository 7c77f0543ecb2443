"""The only training loop: fine-tuning, recovery and distillation differ in the objective alone."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from datasets import Dataset

from bertslim.errors import TrainingError
from bertslim.train.interruption import postponed_interruption
from bertslim.train.objectives import Objective
from bertslim.train.optimisation import adamw, training_mode
from bertslim.train.precision import choose_device, choose_precision
from bertslim.train.resume import ResumeFolder
from bertslim.train.session import BeforeStep, Evaluate, Model, Prepare, Session
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.stepping import Lesson, Stepper, join_processes
from bertslim.train.teacher import Teacher

LOGITS: Mapping[str, bool] = MappingProxyType({})
"""Nothing is asked of the student beside its logits and loss."""

Optimize = Callable[[Model], torch.optim.Optimizer]
"""Builds an optimizer over a model."""


def fit(
    model: Model,
    train: Dataset,
    objective: Objective,
    settings: TrainSettings,
    *,
    teacher: Teacher | None = None,
    asked: Mapping[str, bool] = LOGITS,
    optimize: Optimize[Model] | None = None,
    evaluate: Evaluate[Model] | None = None,
    prepare: Prepare | None = None,
    before_step: BeforeStep | None = None,
    resume: ResumeFolder | None = None,
) -> tuple[Model, TrainReport]:
    """Train a model in place and leave it with its best weights.

    Args:
        model: what is trained.
        train: encoded rows, as `bertslim.train.batching.collate` takes them.
        objective: turns outputs into named losses. If it is a module, its weights learn as well.
        settings: see `TrainSettings`.
        teacher: its answers are given to the objective.
        asked: flags of the model's `forward`, for what the objective reads beside logits and loss.
        optimize: builds the optimizer over the model's parameters, from groups whose rates move
            together (`grouped_adamw`). Without it all that is trainable, the objective's weights
            among it, has the settings' rate.
        evaluate: scores the model after each epoch, in the first process only; the best is kept.
            Without it the last epoch is.
        prepare: changes each step's batch before it is learnt from: masks tokens, for example.
        before_step: is told each step's number, from 0, in every process, also after a resume.
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
        lesson = Lesson(model, objective, teacher, asked)
        rate, decay = settings.learning_rate, settings.weight_decay
        optimizer = optimize(model) if optimize else adamw(lesson, rate, decay)
        stepper = _stepper(lesson, optimizer, settings, device)
        if teacher is not None:
            teacher.settle(stepper.accelerator.device)
        session = Session(
            model,
            train,
            settings,
            stepper,
            request,
            teacher,
            evaluate,
            prepare,
            before_step,
            resume,
        )
        session.run()
    return model, _report(session)


def _stepper(
    lesson: Lesson,
    optimizer: torch.optim.Optimizer,
    settings: TrainSettings,
    device: torch.device,
) -> Stepper:
    accelerator = join_processes(device)
    return Stepper(
        accelerator=accelerator,
        lesson=accelerator.prepare(lesson),
        optimizer=optimizer,
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
