"""What a student is made of and taught with: both models, and the data as each of them reads it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.errors import DataError, SettingsError

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill_job import Job
    from bertslim.commands.distill_student import Origin
    from bertslim.methods.distill.cut import Cut
    from bertslim.methods.distill.plan import Plan
    from bertslim.model.slim import SlimConfig, SlimModel
    from bertslim.train.examples import Examples

TEXTS = ("text-classification", "text-regression")
"""Kinds of task in which a text is one row, whatever its tokens are."""
LABELS = ("label", "tags")
POOLED = (*TEXTS, "token-classification")
"""Kinds of task of which more texts can be had without labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Models that fit together, and data."""

    teacher: "SlimModel"
    origin: "Origin"
    """What the student is cut out of, or the student itself."""
    cut: "Cut | None"
    planned: "Plan"
    learnt: "Examples"
    held_out: "Examples"
    """Another part of the training data, to choose by."""
    reported: "Examples"
    read_by_teacher: "Dataset | None"
    """The rows of `learnt` as the teacher reads them; None if it reads the same."""
    reported_to_teacher: "Examples"


def material_of(job: "Job") -> Material:
    """Open the models, see whether they fit together, and read the data.

    Raises:
        SettingsError: If what is asked for cannot be made of these models.
        DataError: If the teacher is for another task.
    """
    from bertslim.commands.distill_student import origin_of
    from bertslim.methods.distill.plan import plan
    from bertslim.train.examples import prepare, read_examples
    from bertslim.train.precision import choose_device, placed
    from bertslim.train.readers import read_split
    from bertslim.train.splits import hold_out

    _check_unlabelled(job)
    device, seed = choose_device(job.training.device), job.training.seed
    teacher = placed(_load_teacher(job), device)
    data = read_split(job.task, "train")
    labelled, unlabelled = _divided(job, data)
    to_learn, to_choose = hold_out(labelled, seed)
    shown = _shown(job, to_learn, unlabelled)
    origin = origin_of(job, teacher, _labels(job, teacher, data), shown)
    source, tokenizer = placed(origin.model, device), origin.tokenizer
    cut, config = _cut(job, source)
    planned = plan(job.distill, config, teacher.config)
    reported = read_examples(job.task, "validation", source, tokenizer)
    learnt, held_out = (
        prepare(rows, reported.task, source, tokenizer) for rows in (shown, to_choose)
    )
    theirs = (None, reported)
    if not _reads_alike(job, origin, teacher):
        theirs = _read_by_teacher(job, teacher, planned, learnt, reported)
    return Material(teacher, origin, cut, planned, learnt, held_out, reported, *theirs)


def _load_teacher(job: "Job") -> "SlimModel":
    from bertslim.model.kinds import model_kind
    from bertslim.model.opening import open_model

    teacher = open_model(job.teacher)
    if (kind := model_kind(teacher)) != job.task.kind:
        raise DataError(
            f"--teacher {job.teacher.origin}: its head is for {kind or 'nothing'}, but task "
            f"{job.task.name} is {job.task.kind}",
            f"bertslim finetune MODEL --task {job.task.name}.toml makes a teacher",
        )
    return teacher


def _labels(job: "Job", teacher: "SlimModel", data: "Dataset") -> tuple[str, ...]:
    """Return the labels in the teacher's order, which becomes the student's."""
    from bertslim.model.labels import nameless
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


def _cut(job: "Job", source: "SlimModel") -> "tuple[Cut | None, SlimConfig]":
    """Return what is cut, and the configuration of the student."""
    from bertslim.methods.distill.cut import cut_config, cut_of
    from bertslim.methods.distill.shape import StudentShape
    from bertslim.model.lstm.configuration import SlimLstmConfig

    shape, config = job.distill.student, source.config
    if not isinstance(shape, StudentShape):
        return None, config
    if isinstance(config, SlimLstmConfig):
        raise SettingsError(
            f"{job.source.origin} is a recurrent model, and nothing can be cut out of it",
            "leave --student out, or take one of the recurrent students",
        )
    cut = cut_of(shape, config)
    return cut, cut_config(config, cut)


def _check_unlabelled(job: "Job") -> None:
    from bertslim.methods.distill.plan import learns_labels

    if job.unlabelled is not None and learns_labels(job.distill):
        raise SettingsError(
            f"--unlabelled {job.unlabelled} has no labels, and this objective learns from some",
            "give --alpha 1: all is learnt from the teacher",
        )


def _divided(job: "Job", data: "Dataset") -> "tuple[Dataset, Dataset | None]":
    """Return the rows with a label, and those whose label is not to be used."""
    from bertslim.train.splits import few_labels

    if job.labels_per_class is None:
        return data, None
    return few_labels(data, job.labels_per_class, job.training.seed)


def _shown(job: "Job", rows: "Dataset", unlabelled: "Dataset | None") -> "Dataset":
    """Return what is learnt from: the rows, or where labels do not count more texts as well."""
    from datasets import concatenate_datasets

    from bertslim.methods.distill.plan import learns_labels
    from bertslim.train.readers import read_unlabelled

    more = []
    if unlabelled is not None and not learns_labels(job.distill):
        more.append(unlabelled)
    if job.unlabelled is not None:
        more.append(read_unlabelled(job.task, [job.unlabelled]))
    if not more:
        return rows
    texts = [name for name in more[-1].column_names if name not in LABELS]
    return concatenate_datasets([part.select_columns(texts) for part in (rows, *more)])


def _reads_alike(job: "Job", origin: "Origin", teacher: "SlimModel") -> bool:
    """Whether two models certainly read the same: their tokenizers are equal, file by file."""
    if origin.tokenizer_from is None:
        return False
    types = {model.config.reads_token_types for model in (origin.model, teacher)}
    files = {checkpoint.tokenizer_digest() for checkpoint in (job.source, job.teacher)}
    return len(types) == len(files) == 1


def _read_by_teacher(
    job: "Job",
    teacher: "SlimModel",
    planned: "Plan",
    learnt: "Examples",
    reported: "Examples",
) -> "tuple[Dataset | None, Examples]":
    """Encode the data for the teacher as well.

    Raises:
        SettingsError: If token by token is compared, and the tokens differ.
    """
    from bertslim.train.examples import load_tokenizer, prepare

    tokenizer = load_tokenizer(job.teacher.path)
    theirs, shown = (
        prepare(examples.data, examples.task, teacher, tokenizer) for examples in (learnt, reported)
    )
    same = _same_column(learnt.encoded, theirs.encoded, "input_ids")
    if same and _same_column(learnt.encoded, theirs.encoded, "token_type_ids"):
        return None, shown
    if not same and (planned.compares_tokens or job.task.kind not in TEXTS):
        raise SettingsError(
            f"{job.source.origin} and --teacher {job.teacher.origin} read other tokens, and "
            f"{'this objective' if planned.compares_tokens else job.task.kind} compares tokens",
            "take a student with the teacher's tokenizer"
            + (", or --objective logits or pkd" if job.task.kind in TEXTS else ""),
        )
    return theirs.encoded, shown


def _same_column(a: "Dataset", b: "Dataset", name: str) -> bool:
    if name not in a.column_names or name not in b.column_names:
        return name not in a.column_names and name not in b.column_names
    first, second = (data.with_format("arrow")[:][name] for data in (a, b))
    return bool(first.equals(second))
