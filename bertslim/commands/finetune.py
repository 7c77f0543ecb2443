"""`bertslim finetune`."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

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
    TaskFile,
    TrainingOptions,
    command,
)
from bertslim.commands.step import Step, rank, read_source, run_step
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task, load_task, task_digest

SECONDS_BETWEEN_SAVES = 120.0
"""How much work an interruption that cannot be caught may cost."""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "finetune",
        examples="""
        bertslim finetune models/bert-base-uncased --task sst2.toml --output models/sst2
        bertslim finetune models/bert-base-uncased --config bert-sst2.toml
        torchrun --nproc-per-node 2 -m bertslim finetune models/bert-base-uncased --task sst2.toml
        """,
    )(finetune)


def finetune(
    context: typer.Context,
    model: Model,
    task: TaskFile,
    labels_per_class: LabelsPerClass = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Fine-tune a checkpoint on a task.

    The result is a teacher to compress, or a baseline to beat. The weights of the best epoch are
    kept. The best is chosen on a slice of the training data that is held out for it; the task's
    validation data is only reported on.

    Interrupt it and run the same command again: it goes on where it was.
    """
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    pace = RECURRENT if checkpoint.is_recurrent else TRANSFORMER
    settings = train_settings(training, seed, device, pace)
    wanted = Step(
        command="finetune",
        settings=lasting(settings) | few_labels_setting(labels_per_class, described),
        inputs={"model": checkpoint},
        suffix=described.name,
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        return _finetune(checkpoint, described, settings, labels_per_class, directory, resume)

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


def few_labels_setting(most: int | None, task: Task) -> dict[str, int]:
    """Return `--labels-per-class` as a setting; without it the request is what it always was.

    Raises:
        SettingsError: If the task has no classes of texts.
    """
    if most is None:
        return {}
    if task.kind != "text-classification":
        raise SettingsError(
            f"--labels-per-class is for text-classification; {task.name} is {task.kind}",
            "leave it out, or write a task with fewer rows",
        )
    return {"labels_per_class": most}


def _finetune(
    checkpoint: Checkpoint,
    task: Task,
    settings: TrainSettings,
    labels_per_class: int | None,
    directory: Path,
    resume: Path,
) -> dict[str, Any]:
    from bertslim.model.opening import open_for_task
    from bertslim.model.saving import save_model
    from bertslim.train.encoding import mask_tokens
    from bertslim.train.examples import (
        load_tokenizer,
        prepare,
        read_examples,
        score_model,
        selection_score,
    )
    from bertslim.train.loop import fit
    from bertslim.train.objectives import labels_objective
    from bertslim.train.readers import label_names, read_split
    from bertslim.train.resume import ResumeFolder
    from bertslim.train.splits import few_labels, hold_out

    data = read_split(task, "train")
    task = replace(task, labels=label_names(task, data))
    if labels_per_class is not None:
        data, _ = few_labels(data, labels_per_class, settings.seed)
    model = open_for_task(checkpoint, task.kind, task.labels, seed=settings.seed)
    tokenizer = load_tokenizer(checkpoint.path)
    reported = read_examples(task, "validation", model, tokenizer)
    learnt, held_out = (
        prepare(rows, task, model, tokenizer) for rows in hold_out(data, settings.seed)
    )
    model, report = fit(
        model,
        learnt.encoded,
        labels_objective,
        settings,
        evaluate=lambda trained: selection_score(trained, held_out),
        prepare=partial(mask_tokens, masking=learnt.masking) if learnt.masking else None,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(model, directory, tokenizer_from=checkpoint.path)
    return {"training": asdict(report), "validation": asdict(score_model(model, reported))}
