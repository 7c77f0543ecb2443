"""What a student is made of and taught with: the models, and the data as each of them reads it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.commands.distill_teachers import (
    Expert,
    check_together,
    expert,
    open_teacher,
    taught_labels,
)
from bertslim.errors import SettingsError

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill_job import Job
    from bertslim.methods.distill.cut import Cut
    from bertslim.methods.distill.plan import Plan
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Models that fit together, and data."""

    teachers: tuple[Expert, ...]
    source: "SlimBertPreTrainedModel"
    """What the student is cut out of, or the student itself."""
    cut: "Cut | None"
    planned: "Plan"
    learnt: "Examples"
    held_out: "Examples | None"
    """Another part of the training data, to choose by; None where nothing is guessed,"""
    reported: "Examples | None"
    """and so is this."""


def material_of(job: "Job") -> Material:
    """Open the models, see whether they fit together, and read the data.

    Raises:
        SettingsError: If what is asked for cannot be made of these models.
        DataError: If a teacher is for another task.
    """
    from bertslim.methods.distill.plan import plan
    from bertslim.train.readers import read_split

    models = [open_teacher(job, checkpoint) for checkpoint in job.teachers]
    data = read_split(job.task, "train")
    source = _open_source(job, taught_labels(job, models[0], data))
    cut, config = _cut(job, source)
    planned = plan(job.distill, config, models[0].config)
    _check_unlabelled(job, planned)
    check_together(job, planned, config, models)
    learnt, held_out, reported = _examples(job, source, data)
    pairs = zip(job.teachers, models, strict=True)
    experts = tuple(expert(job, *pair, planned, learnt, reported) for pair in pairs)
    return Material(experts, source, cut, planned, learnt, held_out, reported)


def _open_source(job: "Job", labels: tuple[str, ...]) -> "SlimBertPreTrainedModel":
    """Open what becomes the student, with the head that it needs."""
    from bertslim.model.loading import load_encoder, load_for_task
    from bertslim.train.precision import choose_device, placed

    if job.reads_plain_text:
        source = load_encoder(job.source)
    else:
        source = load_for_task(job.source, job.task.kind, labels, seed=job.training.seed)
    return placed(source, choose_device(job.training.device))


def _examples(
    job: "Job", source: "SlimBertPreTrainedModel", data: "Dataset"
) -> "tuple[Examples, Examples | None, Examples | None]":
    """Return what is learnt from, what is chosen by, and what is reported on."""
    from bertslim.train.examples import load_tokenizer, prepare, read_examples
    from bertslim.train.splits import hold_out

    tokenizer = load_tokenizer(job.source.path)
    if job.reads_plain_text:
        return prepare(data, job.task, source, tokenizer), None, None
    reported = read_examples(job.task, "validation", source, tokenizer)
    to_learn, to_choose = hold_out(data, job.training.seed)
    learnt, held_out = (
        prepare(rows, reported.task, source, tokenizer)
        for rows in (_with_unlabelled(job, to_learn), to_choose)
    )
    return learnt, held_out, reported


def _cut(job: "Job", source: "SlimBertPreTrainedModel") -> "tuple[Cut | None, SlimBertConfig]":
    """Return what is cut, and the configuration of the student."""
    from bertslim.methods.distill.cut import cut_config, cut_of
    from bertslim.model.loading import model_kind

    if job.distill.student is None:
        return None, source.config
    cut = cut_of(job.distill.student, source.config)
    if cut.hidden < source.config.hidden_size and model_kind(source) == "masked-lm":
        raise SettingsError(
            f"--student hidden={cut.hidden}: the decoder of a masked language model is its word "
            "table, and cannot be narrowed with the states",
            "--objective tinybert makes a narrow student, which learns no words",
        )
    return cut, cut_config(source.config, cut)


def _check_unlabelled(job: "Job", planned: "Plan") -> None:
    if job.unlabelled is not None and "task" in planned.weights:
        raise SettingsError(
            f"--unlabelled {job.unlabelled} has no labels, and this objective learns from some",
            "give --alpha 1: all is learnt from the teacher",
        )


def _with_unlabelled(job: "Job", rows: "Dataset") -> "Dataset":
    """Return the rows, or their texts and those of the unlabelled file."""
    from datasets import concatenate_datasets

    from bertslim.train.readers import read_unlabelled

    if job.unlabelled is None:
        return rows
    pool = read_unlabelled(job.task, [job.unlabelled])
    texts = pool.column_names
    return concatenate_datasets([rows.select_columns(texts), pool])
