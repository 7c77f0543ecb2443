"""What `distill` does for several tasks: one student encoder, a head and a teacher for each."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bertslim.commands.distill.job import Job
from bertslim.commands.distill.work import (
    ROWS_TO_CUT_BY,
    outcome,
    rows_to_cut_by,
    student_of,
    teacher_of,
    value_of,
)
from bertslim.commands.figures import figures
from bertslim.commands.multitask import of_all, save_tasks
from bertslim.commands.step import rank
from bertslim.commands.training import SECONDS_BETWEEN_SAVES

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill.material import Material
    from bertslim.methods.distill.shrink import Shrunk
    from bertslim.methods.distill.together import Taught
    from bertslim.model.multitask import MultiTaskModel

READ = ("input_ids", "token_type_ids")


def run_together(
    jobs: Mapping[str, Job], balance: float, directory: Path, resume: Path
) -> dict[str, Any]:
    """Distil, write, score; return the step's report."""
    from bertslim.methods.distill.together import distill_tasks
    from bertslim.model.multitask import MultiTaskModel
    from bertslim.train.resume import ResumeFolder

    materials = _materials(jobs)
    shrunk = _students(jobs, materials)
    student = MultiTaskModel({name: one.model for name, one in shrunk.items()})
    taught = {name: _taught(jobs[name], one, resume) for name, one in materials.items()}
    standing = _standing(student, materials) if rank() == 0 else {}
    settings = next(iter(jobs.values())).training
    student, training = distill_tasks(
        student,
        taught,
        settings,
        balance=balance,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    first = next(iter(materials.values()))
    save_tasks(student, directory, first.origin.save_tokenizer)
    after = _figures(student, materials)
    tasks = {name: outcome(*standing[name], after[name]) for name in jobs}
    return {
        "weights": dict(first.planned.weights),
        "energy": next(iter(shrunk.values())).energy,
        "training": asdict(training),
        "tasks": tasks,
        "mean": _means(tasks.values()),
    }


def _materials(jobs: Mapping[str, Job]) -> dict[str, "Material"]:
    """Open what each task needs.

    Raises:
        BertslimError: If tasks, models and data do not fit together, of all tasks at once.
    """
    from bertslim.commands.distill.lore import lore_of, word_source
    from bertslim.commands.distill.material import material_of

    lores = of_all(jobs, lambda name: lore_of(jobs[name]))
    words = word_source([*jobs.values()], [*lores.values()])
    return of_all(jobs, lambda name: material_of(jobs[name], lores[name], words))


def _students(jobs: Mapping[str, Job], materials: Mapping[str, "Material"]) -> dict[str, "Shrunk"]:
    """Cut the students by what the encoder makes of all tasks' texts: they come out alike."""
    draw = cache(partial(_rows_to_cut_by, jobs, materials))
    return {name: student_of(one, draw) for name, one in materials.items()}


def _rows_to_cut_by(jobs: Mapping[str, Job], materials: Mapping[str, "Material"]) -> "Dataset":
    """Draw as many rows of each task, without the labels, which are of other types in others."""
    from datasets import concatenate_datasets

    count = ROWS_TO_CUT_BY // len(jobs)
    drawn = [rows_to_cut_by(jobs[name], one, count) for name, one in materials.items()]
    read = [name for name in READ if name in drawn[0].column_names]
    return concatenate_datasets([rows.select_columns(read) for rows in drawn])


def _taught(job: Job, material: "Material", resume: Path) -> "Taught":
    """Say who teaches a task, and by what it is learnt and chosen."""
    from bertslim.methods.distill.together import Taught

    teacher = teacher_of(job, material, resume)
    return Taught(teacher, material.planned, material.learnt, material.held_out)


def _standing(
    model: "MultiTaskModel", materials: Mapping[str, "Material"]
) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Return for each task the figures of its teachers, and of the student before it learns."""
    before = _figures(model, materials)
    return {
        name: ([figures(teacher.model, teacher.reported) for teacher in one.teachers], before[name])
        for name, one in materials.items()
    }


def _figures(
    model: "MultiTaskModel", materials: Mapping[str, "Material"]
) -> dict[str, dict[str, Any]]:
    return {name: figures(one, materials[name].reported) for name, one in model.tasks.items()}


def _means(tasks: Collection[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the means over the tasks of the metrics that decide, and of what is kept of them."""
    names = ("before", "after", "teacher")
    means = {name: fmean(value_of(task[name]) for task in tasks) for name in names}
    kept = [task["retention"] for task in tasks]
    return {**means, "retention": None if None in kept else fmean(kept)}
