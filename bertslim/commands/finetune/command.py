"""`bertslim finetune`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from bertslim.commands.finetune.work import Job, run, run_together
from bertslim.commands.multitask import (
    Balance,
    heads_of,
    load_tasks,
    names_of_several,
    task_digests,
    task_sources,
    together,
)
from bertslim.commands.options import (
    RECURRENT,
    TRANSFORMER,
    Device,
    DeviceOption,
    LabelsPerClass,
    Model,
    Pace,
    Seed,
    StepOptions,
    TaskFiles,
    TrainingOptions,
    command,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "finetune",
        examples="""
        bertslim finetune models/bert-base-uncased --task sst2.toml --output models/sst2
        bertslim finetune models/bert-base-uncased --config bert-sst2.toml
        bertslim finetune models/bert-base-uncased --task sst2.toml --task stsb.toml
        torchrun --nproc-per-node 2 -m bertslim finetune models/bert-base-uncased --task sst2.toml
        """,
    )(finetune)


def finetune(
    context: typer.Context,
    model: Model,
    task: TaskFiles,
    balance: Balance = None,
    labels_per_class: LabelsPerClass = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Fine-tune a checkpoint on a task, or on several at once.

    The result is a teacher to compress, or a baseline to beat. The weights of the best epoch are
    kept. The best is chosen on a slice of the training data that is held out for it; the task's
    validation data is only reported on.

    With several --task one encoder learns them in turns, with a head for each. The output is the
    encoder, and tasks/NAME in it the whole model of each task; the best epoch is that of the best
    mean of the tasks' metrics.

    Interrupt it and run the same command again: it goes on where it was.
    """
    tasks = load_tasks(task)
    checkpoint = open_checkpoint(read_source(model))
    pace = RECURRENT if checkpoint.is_recurrent else TRANSFORMER
    settings = train_settings(training, seed, device, pace)
    several, heads = together(tasks, balance), heads_of(checkpoint, tasks)
    wanted = Step(
        command="finetune",
        settings={**lasting(settings), **few_labels_setting(labels_per_class, tasks), **several},
        inputs={"model": checkpoint, **{f"model-{name}": head for name, head in heads.items()}},
        suffix="-".join(one.name for one in tasks),
        data=task_digests(tasks),
        data_sources=task_sources(tasks, task),
        tasks=names_of_several(tasks),
    )
    jobs = {
        one.name: Job(heads.get(one.name, checkpoint), one, settings, labels_per_class)
        for one in tasks
    }

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        if several:
            return run_together(jobs, several["balance"], directory, resume)
        return run(jobs[tasks[0].name], directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


def train_settings(
    training: TrainingOptions, seed: int, device: Device, pace: Pace = TRANSFORMER
) -> TrainSettings:
    """Turn the options into the loop's settings; what is not given is as usual at this pace."""
    given = asdict(training)
    del given["restart"]
    given |= {name: value for name, value in asdict(pace).items() if given[name] is None}
    return TrainSettings(**given, seed=seed, device=device)


def lasting(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that change the result: not the memory used, not the device."""
    kept = asdict(settings)
    for name in ("accumulation", "device"):
        del kept[name]
    return kept


def few_labels_setting(most: int | None, tasks: Sequence[Task]) -> dict[str, int]:
    """Return `--labels-per-class` as a setting; without it the request is what it always was.

    Raises:
        SettingsError: If a task has no classes of texts.
    """
    if most is None:
        return {}
    if others := [task for task in tasks if task.kind != "text-classification"]:
        named = ", ".join(f"{task.name} is {task.kind}" for task in others)
        raise SettingsError(
            f"--labels-per-class is for text-classification; {named}",
            "leave it out, or write a task with fewer rows",
        )
    return {"labels_per_class": most}
