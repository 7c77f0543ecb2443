"""What `distill` does: prepares, cuts the student, finds the teacher's answers, trains, scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.distill.job import Job
from bertslim.commands.figures import figures
from bertslim.commands.step import rank
from bertslim.commands.training import SECONDS_BETWEEN_SAVES
from bertslim.console import note

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill.material import Material
    from bertslim.commands.distill.teachers import Expert
    from bertslim.methods.distill.plan import Plan
    from bertslim.methods.distill.shrink import Shrunk
    from bertslim.train.records.layout import Kept
    from bertslim.train.teacher import Teacher

ROWS_TO_CUT_BY = 512
"""Training rows that activations are looked at on."""
ANSWERS = "answers"
"""Folder beside an interrupted run's state, where no other is named."""


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Distil, write, score; return the step's report."""
    from bertslim.commands.distill.lore import lore_of, word_source
    from bertslim.commands.distill.material import material_of
    from bertslim.methods.distill.distill import distill
    from bertslim.model.saving import save_model
    from bertslim.train.resume import ResumeFolder

    lore = lore_of(job)
    material = material_of(job, lore, word_source([job], [lore]))
    shrunk = student_of(material, partial(rows_to_cut_by, job, material, ROWS_TO_CUT_BY))
    teacher = teacher_of(job, material, resume)
    taught: list[dict[str, Any]] = []
    before = {}
    if rank() == 0:
        taught = [figures(one.model, one.reported) for one in material.teachers]
        before = figures(shrunk.model, material.reported)
    student, training = distill(
        shrunk.model,
        teacher,
        material.planned,
        job.training,
        material.learnt,
        material.held_out,
        basis=shrunk.basis if shrunk.basis is not None and job.cut_from_teacher else None,
        everywhere=job.words == "all",
        thaw=job.thaw,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(student, directory, tokenizer_from=None)
    material.origin.save_tokenizer(directory)
    after = figures(student, material.reported)
    return {
        "weights": dict(material.planned.weights),
        "layers": material.planned.pairs,
        "energy": shrunk.energy,
        "training": asdict(training),
        **outcome(taught, before, after),
    }


def outcome(
    taught: Sequence[Mapping[str, Any]], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """Set a student beside its teachers; `taught`, `before` and `after` are figures of models."""
    best = max(taught, key=value_of)
    return {
        "teachers": taught,
        "teacher": best,
        "before": before,
        "after": after,
        "retention": value_of(after) / value_of(best) if value_of(best) > 0 else None,
    }


def rows_to_cut_by(job: Job, material: "Material", count: int) -> "Dataset":
    """Draw some of the rows that are learnt from."""
    rows = material.learnt.encoded.shuffle(seed=job.training.seed)
    return rows.select(range(min(count, len(rows))))


def student_of(material: "Material", draw: "Callable[[], Dataset]") -> "Shrunk":
    """Cut the student out of its source, if that is asked for, by what it makes of drawn rows."""
    from bertslim.methods.distill.shrink import Shrunk, shrink
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    model = material.origin.model
    if material.cut is None or isinstance(model, SlimLstmPreTrainedModel):
        return Shrunk(model, None, 1.0)
    return shrink(model, material.cut, draw())


def teacher_of(job: Job, material: "Material", resume: Path) -> "Teacher | None":
    """Return who answers in training: records where these are small enough, else the models."""
    from bertslim.train.panel import Panel

    planned = material.planned
    if not planned.needs_teacher:
        return None
    kept = None if material.learnt.masking else planned.kept
    if job.cache and kept is None:
        note("--cache is left alone: states of all tokens, and guesses of words, are too many")
    folder = job.cache or resume / ANSWERS
    members = [
        _live(planned, one)
        if job.live or kept is None
        else _recorded(job, one, kept, material.learnt.encoded, folder)
        for one in material.teachers
    ]
    pairs = zip(material.teachers, members, strict=True)
    members = [_in_the_students_places(job, *pair) for pair in pairs]
    if len(members) == 1:
        return members[0]
    return Panel(members, [one.order for one in material.teachers], planned.temperature)


def _in_the_students_places(job: Job, one: "Expert", teacher: "Teacher") -> "Teacher":
    """Where tags are compared, and the teacher reads other pieces, go from word to word."""
    from bertslim.commands.distill.teachers import TAGS
    from bertslim.train.alignment import WordByWord

    if one.rows is None or job.task.kind != TAGS:
        return teacher
    return WordByWord(teacher, one.rows)


def _live(planned: "Plan", one: "Expert") -> "Teacher":
    from bertslim.train.teacher import LiveTeacher

    return LiveTeacher(one.model, planned.asked, one.rows)


def _recorded(job: Job, one: "Expert", kept: "Kept", rows: "Dataset", folder: Path) -> "Teacher":
    """Ask a teacher now; its record is its own, whoever else teaches."""
    from bertslim.train.precision import choose_device, choose_precision
    from bertslim.train.records.recording import Shelf, recorded_teacher
    from bertslim.train.stepping import join_processes

    device = choose_device(job.training.device)
    precision = choose_precision(job.training.precision, device)
    shelf = Shelf(folder, one.checkpoint.digest(), precision)
    read = rows if one.rows is None else one.rows
    return recorded_teacher(one.model, read, kept, shelf, join_processes(device))


def value_of(found: Mapping[str, Any]) -> float:
    """Return the score among a model's figures; 0 where nothing is scored."""
    return float(found["score"]["value"]) if "score" in found else 0.0
