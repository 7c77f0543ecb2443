"""What `distill` does: opens teacher and student, reads the data for both, trains, scores."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.figures import figures
from bertslim.commands.finetune import SECONDS_BETWEEN_SAVES
from bertslim.commands.step import rank
from bertslim.errors import DataError, SettingsError
from bertslim.store.checkpoint import Checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.methods.distill.settings import Distill
    from bertslim.model.modeling import SlimBertPreTrainedModel


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    source: Checkpoint
    """What becomes the student."""
    teacher: Checkpoint
    task: Task
    distill: "Distill"
    training: TrainSettings


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Distil, write, score; return the step's report."""
    from bertslim.methods.distill.distill import distill
    from bertslim.methods.distill.plan import plan
    from bertslim.model.loading import load_for_task, save_model
    from bertslim.train.examples import load_tokenizer, prepare, read_examples
    from bertslim.train.precision import choose_device, placed
    from bertslim.train.readers import read_split
    from bertslim.train.resume import ResumeFolder
    from bertslim.train.splits import hold_out

    device, kind, seed = choose_device(job.training.device), job.task.kind, job.training.seed
    teacher = placed(_load_teacher(job), device)
    data = read_split(job.task, "train")
    labels = _labels(job, teacher, data)
    student = placed(load_for_task(job.source, kind, labels, seed=seed), device)
    planned = plan(job.distill, student.config, teacher.config)
    tokenizer = load_tokenizer(job.source.path)
    _refuse_another_vocabulary(job)
    reported = read_examples(job.task, "validation", student, tokenizer)
    learnt, held_out = (
        prepare(rows, reported.task, student, tokenizer) for rows in hold_out(data, seed)
    )
    found = {}
    if rank() == 0:
        found = {"teacher": figures(teacher, reported), "before": figures(student, reported)}
    student, training = distill(
        student,
        teacher,
        planned,
        job.training,
        learnt,
        held_out,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(student, directory, tokenizer_from=job.source.path)
    found["after"] = figures(student, reported)
    return {
        "weights": dict(planned.weights),
        "layers": planned.pairs,
        "training": asdict(training),
        **found,
        "retention": _retention(found),
    }


def _load_teacher(job: Job) -> "SlimBertPreTrainedModel":
    from bertslim.model.loading import load_model, model_kind

    teacher = load_model(job.teacher)
    if (kind := model_kind(teacher)) != job.task.kind:
        raise DataError(
            f"--teacher {job.teacher.origin}: its head is for {kind or 'nothing'}, but task "
            f"{job.task.name} is {job.task.kind}",
            f"bertslim finetune MODEL --task {job.task.name}.toml makes a teacher",
        )
    return teacher


def _labels(job: Job, teacher: "SlimBertPreTrainedModel", data: "Dataset") -> tuple[str, ...]:
    """Return the labels in the teacher's order, which becomes the student's."""
    from bertslim.model.loading import nameless
    from bertslim.train.examples import LABELLED, model_labels
    from bertslim.train.readers import label_names

    if job.task.kind not in LABELLED:
        return ()
    wanted, known = label_names(job.task, data), model_labels(teacher)
    if nameless(known) and len(known) == len(wanted):
        return wanted
    if not set(wanted) <= set(known):
        raise DataError(
            f"--teacher {job.teacher.origin} knows the labels {', '.join(known)}, but task "
            f"{job.task.name} has {', '.join(wanted)}",
            "take the task that the teacher was trained on",
        )
    return known


def _refuse_another_vocabulary(job: Job) -> None:
    from bertslim.train.examples import load_tokenizer

    theirs, own = (load_tokenizer(c.path).get_vocab() for c in (job.teacher, job.source))
    if theirs != own:
        raise SettingsError(
            f"{job.source.origin} and --teacher {job.teacher.origin} have other vocabularies",
            "a student reads the same tokens as its teacher",
        )


def _retention(found: dict[str, Any]) -> float | None:
    """Return the share of the teacher's score that the student has."""
    after, teacher = (found[who]["score"]["value"] for who in ("after", "teacher"))
    return float(after / teacher) if teacher > 0 else None
