"""What a student is made of and taught with: the models, and the data as each of them reads it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.commands.distill.teachers import (
    TAGS,
    TEXTS,
    Expert,
    check_together,
    expert,
    word_by_word,
)
from bertslim.errors import SettingsError

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill.job import Job
    from bertslim.commands.distill.lore import Lore, WordSource
    from bertslim.commands.distill.student import Origin
    from bertslim.methods.distill.cut import Cut
    from bertslim.methods.distill.plan import Plan
    from bertslim.model.slim import SlimConfig, SlimModel
    from bertslim.train.examples import Examples

POOLED = (*TEXTS, TAGS)
"""Kinds of task of which more texts can be had without labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Models that fit together, and data."""

    teachers: tuple[Expert, ...]
    origin: "Origin"
    """What the student is cut out of, or the student itself."""
    cut: "Cut | None"
    planned: "Plan"
    learnt: "Examples"
    held_out: "Examples | None"
    """Another part of the training data, to choose by; None where nothing is guessed,"""
    reported: "Examples | None"
    """and so is this."""


def material_of(job: "Job", lore: "Lore", words: "WordSource") -> Material:
    """Open the student, see whether all fit together, and read the data as they do.

    Args:
        job: What is asked for.
        lore: Of this job.
        words: What a recurrent student's are made of, of whatever task.

    Raises:
        SettingsError: If what is asked for cannot be made of these models.
        DataError: If teachers disagree about the labels.
    """
    from bertslim.commands.distill.student import origin_of
    from bertslim.methods.distill.plan import plan

    models = lore.models
    origin = origin_of(job, lore, words)
    cut, config = _cut(job, origin.model)
    planned = plan(job.distill, config, models[0].config)
    check_together(job, planned, config, models)
    learnt, held_out, reported = _examples(job, origin, lore.to_learn, lore.to_choose)
    pairs = zip(job.teachers, models, strict=True)
    experts = tuple(expert(job, *pair, planned, learnt, reported) for pair in pairs)
    if planned.needs_teacher and job.task.kind == TAGS:
        learnt, experts = word_by_word(learnt, experts)
    return Material(experts, origin, cut, planned, learnt, held_out, reported)


def _examples(
    job: "Job", origin: "Origin", to_learn: "Dataset", to_choose: "Dataset | None"
) -> "tuple[Examples, Examples | None, Examples | None]":
    """Return what is learnt from, what is chosen by, and what is reported on."""
    from bertslim.train.examples import prepare, read_examples

    student, tokenizer = origin.model, origin.tokenizer
    if to_choose is None:
        return prepare(to_learn, job.task, student, tokenizer), None, None
    reported = read_examples(job.task, "validation", student, tokenizer)
    learnt, held_out = (
        prepare(rows, reported.task, student, tokenizer) for rows in (to_learn, to_choose)
    )
    return learnt, held_out, reported


def _cut(job: "Job", source: "SlimModel") -> "tuple[Cut | None, SlimConfig]":
    """Return what is cut, and the configuration of the student."""
    from bertslim.methods.distill.cut import cut_config, cut_of
    from bertslim.methods.distill.shape import StudentShape
    from bertslim.model.kinds import model_kind
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
    if cut.hidden < config.hidden_size and model_kind(source) == "masked-lm":
        raise SettingsError(
            f"--student hidden={cut.hidden}: the decoder of a masked language model is its word "
            "table, and cannot be narrowed with the states",
            "--objective tinybert makes a narrow student, which learns no words",
        )
    return cut, cut_config(config, cut)
