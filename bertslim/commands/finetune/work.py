"""What `finetune` does: opens the model with a head for each task, trains, writes, scores."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.multitask import mean_value, of_all, save_tasks
from bertslim.commands.step import rank
from bertslim.commands.training import SECONDS_BETWEEN_SAVES
from bertslim.store.checkpoint import Checkpoint, copy_tokenizer
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel
    from bertslim.train.examples import Examples
    from bertslim.train.feeding import Prepare


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for of one task."""

    checkpoint: Checkpoint
    task: Task
    training: TrainSettings
    labels_per_class: int | None
    """How many texts of each class have a label; None: all."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A model with the head for a task, and the task's data as it reads it."""

    model: "SlimModel"
    learnt: "Examples"
    held_out: "Examples"
    """Another part of the training data, to choose by."""
    reported: "Examples"

    @property
    def prepare(self) -> "Prepare | None":
        """What is done to each batch: words to guess are masked."""
        from bertslim.train.encoding import mask_tokens

        masking = self.learnt.masking
        return partial(mask_tokens, masking=masking) if masking else None


def material_of(job: Job) -> Material:
    """Open the model and read the data.

    Raises:
        DataError: If the data is not as the task says.
        CheckpointError: If the model cannot be opened with such a head.
    """
    from bertslim.model.opening import open_for_task
    from bertslim.train.examples import load_tokenizer, prepare, read_examples
    from bertslim.train.readers import label_names, read_split
    from bertslim.train.splits import divide

    seed, data = job.training.seed, read_split(job.task, "train")
    task = replace(job.task, labels=label_names(job.task, data))
    division = divide(data, seed, job.labels_per_class)
    model = open_for_task(job.checkpoint, task.kind, task.labels, seed=seed)
    tokenizer = load_tokenizer(job.checkpoint.path)
    reported = read_examples(task, "validation", model, tokenizer)
    parts = (division.labelled, division.to_choose)
    learnt, held_out = (prepare(rows, task, model, tokenizer) for rows in parts)
    return Material(model, learnt, held_out, reported)


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Fine-tune on one task, write, score; return the step's report."""
    from bertslim.model.saving import save_model
    from bertslim.train.examples import score_model, selection_score
    from bertslim.train.loop import fit
    from bertslim.train.objectives import labels_objective
    from bertslim.train.resume import ResumeFolder

    material = material_of(job)
    model, report = fit(
        material.model,
        material.learnt.encoded,
        labels_objective,
        job.training,
        evaluate=lambda trained: selection_score(trained, material.held_out),
        prepare=material.prepare,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(model, directory, tokenizer_from=job.checkpoint.path)
    return {"training": asdict(report), "validation": asdict(score_model(model, material.reported))}


def run_together(
    jobs: Mapping[str, Job], balance: float, directory: Path, resume: Path
) -> dict[str, Any]:
    """Fine-tune one encoder on several tasks, write, score; return the step's report."""
    from bertslim.model.multitask import MultiTaskModel
    from bertslim.train.examples import score_model
    from bertslim.train.loop import Course, fit_tasks
    from bertslim.train.objectives import labels_objective
    from bertslim.train.resume import ResumeFolder
    from bertslim.train.together import mean_score

    materials = of_all(jobs, lambda name: material_of(jobs[name]))
    first, *_ = jobs.values()
    held_out = {name: one.held_out for name, one in materials.items()}
    model, report = fit_tasks(
        MultiTaskModel({name: one.model for name, one in materials.items()}),
        {name: Course(one.learnt.encoded, labels_objective) for name, one in materials.items()},
        first.training,
        balance=balance,
        evaluate=lambda trained: mean_score(trained, held_out),
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_tasks(model, directory, partial(copy_tokenizer, first.checkpoint.path))
    scores = {
        name: asdict(score_model(one, materials[name].reported))
        for name, one in model.tasks.items()
    }
    return {
        "training": asdict(report),
        "tasks": {name: {"validation": score} for name, score in scores.items()},
        "mean": mean_value(scores),
    }
