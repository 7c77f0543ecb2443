"""What is there before there is a student: teachers, labels, and the texts to learn from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertslim.commands.distill.teachers import open_teacher, taught_labels
from bertslim.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datasets import Dataset

    from bertslim.commands.distill.job import Job
    from bertslim.model.slim import SlimModel
    from bertslim.train.splits import Division

LABELS = ("label", "tags")


@dataclass(frozen=True, slots=True, eq=False)
class Lore:
    """What is there before there is a student."""

    models: "Sequence[SlimModel]"
    """Of the teachers."""
    labels: tuple[str, ...]
    """In the order of the student's outputs."""
    unnamed: tuple[str, ...]
    """In the task's order, which is that of outputs without names."""
    to_learn: "Dataset"
    to_choose: "Dataset | None"


@dataclass(frozen=True, slots=True, eq=False)
class WordSource:
    """What the words of recurrent students are made of: one source for all tasks."""

    texts: "Sequence[Dataset]"
    """All that is learnt from, which a vocabulary is made of."""
    teacher: "SlimModel"
    """Whose vectors they may begin with,"""
    tokenizer_from: "Path"
    """and where its tokenizer lies."""


def word_source(jobs: "Sequence[Job]", lores: "Sequence[Lore]") -> WordSource:
    """Take the texts of all tasks, and of the first one its first teacher."""
    texts = [lore.to_learn for lore in lores]
    return WordSource(texts, lores[0].models[0], jobs[0].teachers[0].path)


def lore_of(job: "Job") -> Lore:
    """Open the teachers, and read what is learnt from.

    Raises:
        SettingsError: If labels are wanted that are not there.
        DataError: If a teacher is for another task.
    """
    from bertslim.train.readers import label_names, read_split

    _check_unlabelled(job)
    models = [open_teacher(job, checkpoint) for checkpoint in job.teachers]
    data = read_split(job.task, "train")
    to_learn, to_choose = _divided(job, data)
    unnamed = label_names(job.task, data)
    return Lore(models, taught_labels(job, models[0], unnamed), unnamed, to_learn, to_choose)


def _check_unlabelled(job: "Job") -> None:
    from bertslim.methods.distill.plan import learns_labels

    if job.unlabelled is not None and learns_labels(job.distill):
        raise SettingsError(
            f"--unlabelled {job.unlabelled} has no labels, and this objective learns from some",
            "give --alpha 1: all is learnt from the teacher",
        )


def _divided(job: "Job", data: "Dataset") -> "tuple[Dataset, Dataset | None]":
    """Return the texts to learn from, and those to choose by, if there is something to choose."""
    from bertslim.train.splits import divide

    if job.reads_plain_text:
        return data, None
    division = divide(data, job.training.seed, job.labels_per_class)
    return _shown(job, division), division.to_choose


def _shown(job: "Job", division: "Division") -> "Dataset":
    """Return what is learnt from: the rows, or where labels do not count more texts as well."""
    from datasets import concatenate_datasets

    from bertslim.methods.distill.plan import learns_labels
    from bertslim.train.readers import read_unlabelled

    more = []
    if division.unlabelled is not None and not learns_labels(job.distill):
        more.append(division.unlabelled)
    if job.unlabelled is not None:
        more.append(read_unlabelled(job.task, [job.unlabelled]))
    if not more:
        return division.labelled
    texts = [name for name in more[-1].column_names if name not in LABELS]
    parts = (division.labelled, *more)
    return concatenate_datasets([part.select_columns(texts) for part in parts])
