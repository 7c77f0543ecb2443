"""The only training loop: fine-tuning, recovery and distillation differ in the objective alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Generic, TypeVar

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from bertslim.errors import TrainingError
from bertslim.model.multitask import MultiTaskModel
from bertslim.train.feeding import Feed, Prepare, TaskFeed, Turns
from bertslim.train.interruption import postponed_interruption
from bertslim.train.objectives import Objective
from bertslim.train.optimisation import adamw, training_mode
from bertslim.train.precision import choose_device, choose_precision
from bertslim.train.resume import ResumeFolder
from bertslim.train.session import BeforeStep, Evaluate, Model, Session
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.stepping import Lesson, Lessons, Stepper, join_processes
from bertslim.train.teacher import Teacher

LOGITS: Mapping[str, bool] = MappingProxyType({})
"""Nothing is asked of the student beside its logits and loss."""

OneTaskModel = TypeVar("OneTaskModel", bound=PreTrainedModel)
Optimize = Callable[[Model], torch.optim.Optimizer]
"""Builds an optimizer over a model."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is learnt of one task, and how; see `fit`."""

    rows: Dataset
    objective: Objective
    teacher: Teacher | None = None
    asked: Mapping[str, bool] = field(default_factory=dict)
    prepare: Prepare | None = None

    def feed(self, model: PreTrainedModel, settings: TrainSettings) -> TaskFeed:
        """Return the batches for a model.

        Raises:
            TrainingError: there is none.
        """
        if len(self.rows) == 0:
            raise TrainingError(
                "there is no example to train on", "check the task's training files"
            )
        padding = model.config.padding_id
        size, seed = settings.batch_size, settings.seed
        return TaskFeed(self.rows, size, seed, padding, self.teacher, self.prepare)

    def lesson(self, model: PreTrainedModel) -> Lesson:
        """Return what makes losses of a batch."""
        return Lesson(model, self.objective, self.teacher, self.asked)


def fit(
    model: OneTaskModel,
    train: Dataset,
    objective: Objective,
    settings: TrainSettings,
    *,
    teacher: Teacher | None = None,
    asked: Mapping[str, bool] = LOGITS,
    optimize: Optimize[OneTaskModel] | None = None,
    evaluate: Evaluate[OneTaskModel] | None = None,
    prepare: Prepare | None = None,
    before_step: BeforeStep | None = None,
    resume: ResumeFolder | None = None,
) -> tuple[OneTaskModel, TrainReport]:
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
    course = Course(train, objective, teacher, asked, prepare)
    run = _Run(
        model,
        course.lesson(model),
        course.feed(model, settings),
        settings,
        optimize=partial(optimize, model) if optimize else None,
        evaluate=evaluate,
        before_step=before_step,
        resume=resume,
    )
    return _trained(run)


def fit_tasks(
    model: MultiTaskModel,
    courses: Mapping[str, Course],
    settings: TrainSettings,
    *,
    balance: float,
    evaluate: Evaluate[MultiTaskModel] | None = None,
    resume: ResumeFolder | None = None,
) -> tuple[MultiTaskModel, TrainReport]:
    """Train the models of several tasks, which share an encoder; see `fit`.

    Each step learns one task. Losses of the same name are averaged over all steps of an epoch, of
    whatever task.

    Args:
        model: What is trained.
        courses: By the tasks' names, with losses of the same names.
        settings: How.
        balance: How often a task's turn comes; see `Turns`.
        evaluate: As of `fit`.
        resume: As of `fit`.

    Raises:
        TrainingError: As `fit`, as whatever else is raised.
    """
    pairs = [(courses[name], one) for name, one in model.tasks.items()]
    feeds = [course.feed(one, settings) for course, one in pairs]
    run = _Run(
        model,
        Lessons([course.lesson(one) for course, one in pairs]),
        Turns(feeds, balance, settings.seed),
        settings,
        evaluate=evaluate,
        resume=resume,
    )
    return _trained(run)


@dataclass(frozen=True, slots=True, eq=False)
class _Run(Generic[Model]):
    """All that is asked of the loop."""

    model: Model
    lesson: Lesson | Lessons
    feed: Feed
    settings: TrainSettings
    optimize: Callable[[], torch.optim.Optimizer] | None = None
    evaluate: Evaluate[Model] | None = None
    before_step: BeforeStep | None = None
    resume: ResumeFolder | None = None


def _trained(run: _Run[Model]) -> tuple[Model, TrainReport]:
    settings = run.settings
    device = choose_device(settings.device)
    dropout, freeze = settings.dropout, settings.freeze_embeddings
    with (
        training_mode(run.model, dropout=dropout, freeze_embeddings=freeze),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        postponed_interruption() as request,
    ):
        rate, decay = settings.learning_rate, settings.weight_decay
        optimizer = run.optimize() if run.optimize else adamw(run.lesson, rate, decay)
        stepper = _stepper(run.lesson, optimizer, settings, device)
        run.lesson.settle(stepper.accelerator.device)
        session = Session(
            run.model,
            run.feed,
            settings,
            stepper,
            request,
            run.evaluate,
            run.before_step,
            run.resume,
        )
        session.run()
    return run.model, _report(session)


def _stepper(
    lesson: Lesson | Lessons,
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
