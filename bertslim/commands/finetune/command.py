"""`bertslim finetune`."""

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
from bertslim.commands.options import DeviceOption, Model, Seed, StepOptions, TaskFiles, command
from bertslim.commands.step import Step, read_source, run_step
from bertslim.commands.training import (
    RECURRENT,
    TRANSFORMER,
    LabelsPerClass,
    TrainingOptions,
    few_labels_setting,
    lasting,
    train_settings,
)
from bertslim.store.checkpoint import open_checkpoint


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
