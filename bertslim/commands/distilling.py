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

    from bertslim.methods.distill.cut import Cut
    from bertslim.methods.distill.plan import Plan
    from bertslim.methods.distill.settings import Distill
    from bertslim.methods.distill.shrink import Shrunk
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples

ROWS_TO_CUT_BY = 512
"""Training rows that activations are looked at on; more made no difference."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    source: Checkpoint
    """What becomes the student."""
    teacher: Checkpoint
    task: Task
    distill: "Distill"
    training: TrainSettings

    @property
    def cut_from_teacher(self) -> bool:
        """Whether the student's weights are the teacher's own."""
        return self.source.digest() == self.teacher.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a student is made of and taught with."""

    teacher: "SlimBertPreTrainedModel"
    source: "SlimBertPreTrainedModel"
    """What the student is cut out of, or the student itself."""
    cut: "Cut | None"
    planned: "Plan"
    learnt: "Examples"
    held_out: "Examples"
    """Another part of the training data, to choose by."""
    reported: "Examples"


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Distil, write, score; return the step's report."""
    from bertslim.methods.distill.distill import distill
    from bertslim.model.loading import save_model
    from bertslim.train.resume import ResumeFolder

    material = _material(job)
    shrunk = _student(job, material)
    teacher, student, planned = material.teacher, shrunk.model, material.planned
    found = {"teacher": teacher, "before": student} if rank() == 0 else {}
    scores = {who: figures(model, material.reported) for who, model in found.items()}
    student, training = distill(
        student,
        teacher,
        planned,
        job.training,
        material.learnt,
        material.held_out,
        basis=shrunk.basis if job.cut_from_teacher else None,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(student, directory, tokenizer_from=job.source.path)
    scores["after"] = figures(student, material.reported)
    return {
        "weights": dict(planned.weights),
        "layers": planned.pairs,
        "energy": shrunk.energy,
        "training": asdict(training),
        **scores,
        "retention": _retention(scores),
    }


def _material(job: Job) -> Material:
    """Open the models, see whether they fit together, and read the data.

    Raises:
        SettingsError: If what is asked for cannot be made of these models.
        DataError: If the teacher is for another task.
    """
    from bertslim.methods.distill.plan import plan
    from bertslim.model.loading import load_for_task
    from bertslim.train.examples import load_tokenizer, prepare, read_examples
    from bertslim.train.precision import choose_device, placed
    from bertslim.train.readers import read_split
    from bertslim.train.splits import hold_out

    device, kind, seed = choose_device(job.training.device), job.task.kind, job.training.seed
    teacher = placed(_load_teacher(job), device)
    data = read_split(job.task, "train")
    labels = _labels(job, teacher, data)
    source = placed(load_for_task(job.source, kind, labels, seed=seed), device)
    cut, config = _cut(job, source)
    planned = plan(job.distill, config, teacher.config)
    tokenizer = load_tokenizer(job.source.path)
    _refuse_another_vocabulary(job)
    reported = read_examples(job.task, "validation", source, tokenizer)
    learnt, held_out = (
        prepare(rows, reported.task, source, tokenizer) for rows in hold_out(data, seed)
    )
    return Material(teacher, source, cut, planned, learnt, held_out, reported)


def _cut(job: Job, source: "SlimBertPreTrainedModel") -> "tuple[Cut | None, SlimBertConfig]":
    """Return what is cut, and the configuration of the student."""
    from bertslim.methods.distill.cut import cut_config, cut_of

    if job.distill.student is None:
        return None, source.config
    cut = cut_of(job.distill.student, source.config)
    return cut, cut_config(source.config, cut)


def _student(job: Job, material: Material) -> "Shrunk":
    """Cut the student out of its source, if that is asked for."""
    from bertslim.methods.distill.shrink import Shrunk, shrink

    if material.cut is None:
        return Shrunk(material.source, None, 1.0)
    rows = material.learnt.encoded.shuffle(seed=job.training.seed)
    some = rows.select(range(min(ROWS_TO_CUT_BY, len(rows))))
    return shrink(material.source, material.cut, some)


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
