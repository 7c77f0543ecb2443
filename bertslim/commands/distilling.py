"""What `distill` does: prepares, cuts the student, finds the teacher's answers, trains, scores."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.distill_job import Job
from bertslim.commands.figures import figures
from bertslim.commands.finetune import SECONDS_BETWEEN_SAVES
from bertslim.commands.step import rank
from bertslim.console import note

if TYPE_CHECKING:
    from bertslim.commands.distill_material import Material
    from bertslim.methods.distill.shrink import Shrunk
    from bertslim.train.teacher import Teacher

ROWS_TO_CUT_BY = 512
"""Training rows that activations are looked at on."""
ANSWERS = "answers"
"""Folder beside an interrupted run's state, where no other is named."""


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Distil, write, score; return the step's report."""
    from bertslim.commands.distill_material import material_of
    from bertslim.methods.distill.distill import distill
    from bertslim.model.saving import save_model
    from bertslim.train.resume import ResumeFolder

    material = material_of(job)
    shrunk = _student(job, material)
    teacher = _teacher(job, material, resume)
    scores = {}
    if rank() == 0:
        scores["teacher"] = figures(material.teacher, material.reported_to_teacher)
        scores["before"] = figures(shrunk.model, material.reported)
    student, training = distill(
        shrunk.model,
        teacher,
        material.planned,
        job.training,
        material.learnt,
        material.held_out,
        basis=shrunk.basis if job.cut_from_teacher else None,
        thaw=job.thaw,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(student, directory, tokenizer_from=None)
    material.origin.save_tokenizer(directory)
    scores["after"] = figures(student, material.reported)
    return {
        "weights": dict(material.planned.weights),
        "layers": material.planned.pairs,
        "energy": shrunk.energy,
        "training": asdict(training),
        **scores,
        "retention": _retention(scores),
    }


def _student(job: Job, material: "Material") -> "Shrunk":
    """Cut the student out of its source, if that is asked for."""
    from bertslim.methods.distill.shrink import Shrunk, shrink
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    model = material.origin.model
    if material.cut is None or isinstance(model, SlimLstmPreTrainedModel):
        return Shrunk(model, None, 1.0)
    rows = material.learnt.encoded.shuffle(seed=job.training.seed)
    some = rows.select(range(min(ROWS_TO_CUT_BY, len(rows))))
    return shrink(model, material.cut, some)


def _teacher(job: Job, material: "Material", resume: Path) -> "Teacher | None":
    """Return who answers in training: a record where that is small enough, else the model."""
    from bertslim.train.precision import choose_device, choose_precision
    from bertslim.train.records.recording import Shelf, recorded_teacher
    from bertslim.train.stepping import join_processes
    from bertslim.train.teacher import LiveTeacher

    planned, rows = material.planned, material.read_by_teacher
    if not planned.needs_teacher:
        return None
    if job.live or planned.kept is None:
        if job.cache:
            note("--cache is left alone: states of all tokens are too many to keep")
        return LiveTeacher(material.teacher, planned.asked, rows)
    device = choose_device(job.training.device)
    shelf = Shelf(
        job.cache or resume / ANSWERS,
        job.teacher.digest(),
        choose_precision(job.training.precision, device),
    )
    rows = material.learnt.encoded if rows is None else rows
    return recorded_teacher(material.teacher, rows, planned.kept, shelf, join_processes(device))


def _retention(scores: dict[str, Any]) -> float | None:
    """Return the share of the teacher's score that the student has."""
    after, teacher = (scores[who]["score"]["value"] for who in ("after", "teacher"))
    return float(after / teacher) if teacher > 0 else None
