"""Who teaches in `distill`: the models, their labels, and the data as they read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bertslim.errors import DataError, SettingsError, fault_list
from bertslim.store.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.commands.distill.job import Job
    from bertslim.methods.distill.plan import Plan
    from bertslim.model.slim import SlimConfig, SlimModel
    from bertslim.store.checkpoint import Checkpoint
    from bertslim.train.examples import Examples
    from bertslim.train.task import Task

TEXTS = ("text-classification", "text-regression")
"""Kinds of task in which a text is one row, whatever its tokens are."""
TAGS = "token-classification"
"""The kind in which words are compared, whatever their pieces are."""


@dataclass(frozen=True, slots=True, eq=False)
class Expert:
    """One teacher."""

    checkpoint: "Checkpoint"
    model: "SlimModel"
    order: tuple[int, ...]
    """Where the student's labels stand among its own; empty where they have no names."""
    rows: "Dataset | None"
    """The training rows as it reads them; None if it reads what the student reads."""
    reported: "Examples | None"
    """What it is scored on; None where nothing is guessed."""


def teachers_of(
    names: Sequence[str], tasks: "Sequence[Task]"
) -> "dict[str, dict[str, Checkpoint]]":
    """Open the teachers of each task, by its name and then by what the record calls them.

    Several teachers of one task are `teacher`, `teacher-2`, ...; of several tasks each has one,
    which is a model of them all, or a model of its own, in the order of the tasks.

    Raises:
        SettingsError: If one is there twice, a task has none, or they are too few or too many.
    """
    if len(tasks) > 1:
        found = _teachers_of_several(names, tasks)
        return {name: {f"teacher-{name}": one} for name, one in found.items()}
    (task,) = tasks
    checkpoints = [_for_task(open_checkpoint(name), task) for name in names]
    places = [checkpoint.path.resolve() for checkpoint in checkpoints]
    if twice := [n for n, place in zip(names, places, strict=True) if places.count(place) > 1]:
        raise SettingsError(f"--teacher {twice[0]} is given twice", "name each teacher once")
    roles = ["teacher", *(f"teacher-{number}" for number in range(2, len(names) + 1))]
    return {task.name: dict(zip(roles, checkpoints, strict=True))}


def _teachers_of_several(names: Sequence[str], tasks: "Sequence[Task]") -> "dict[str, Checkpoint]":
    if len(names) not in (1, len(tasks)):
        raise SettingsError(
            f"{len(names)} times --teacher for {len(tasks)} tasks",
            "give one for each --task, in their order, or one that was fine-tuned on all of them",
        )
    checkpoints = [open_checkpoint(name) for name in names] * (len(tasks) // len(names))
    pairs = list(zip(tasks, checkpoints, strict=True))
    if faults := list(_lacking(pairs, alone=len(names) == 1)):
        raise SettingsError(
            fault_list("not every task has a teacher", faults),
            "give one --teacher for each --task, in their order; bertslim finetune MODEL with all "
            "of these --task makes one of all",
        )
    return {task.name: _for_task(one, task) for task, one in pairs}


def _for_task(checkpoint: "Checkpoint", task: "Task") -> "Checkpoint":
    """Return a task's whole model, where a checkpoint has one inside; else what is there."""
    return checkpoint.of_task(task.name) if task.name in checkpoint.tasks else checkpoint


def _lacking(pairs: "Sequence[tuple[Task, Checkpoint]]", *, alone: bool) -> Iterator[str]:
    """Yield which tasks are missing in which teachers; one alone has to be a model of several."""
    for task, one in pairs:
        if one.tasks and task.name not in one.tasks:
            yield f"{one.origin} knows {', '.join(one.tasks)}, and not {task.name}"
    if alone and not (one := pairs[0][1]).tasks:
        yield f"--teacher {one.origin} is of one task, and {len(pairs)} are to be learnt"


def open_teacher(job: "Job", checkpoint: "Checkpoint") -> "SlimModel":
    """Open a teacher; where plain text is read, its encoder alone.

    Raises:
        DataError: If it is for another task.
    """
    from bertslim.model.kinds import head_named, model_kind
    from bertslim.model.loading import load_encoder
    from bertslim.model.opening import open_model
    from bertslim.train.precision import choose_device, placed

    plain = job.reads_plain_text
    teacher = load_encoder(checkpoint) if plain else open_model(checkpoint)
    if not plain and (kind := model_kind(teacher)) != job.task.kind:
        raise DataError(
            f"--teacher {checkpoint.origin}: {head_named(kind)}, but task "
            f"{job.task.name} is {job.task.kind}",
            f"bertslim finetune MODEL --task {job.task.name}.toml makes a teacher",
        )
    return placed(teacher, choose_device(job.training.device))


def taught_labels(job: "Job", teacher: "SlimModel", wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels in the first teacher's order, which becomes the student's.

    Args:
        job: What is asked for.
        teacher: The first one.
        wanted: The task's labels in its own order; none, where nothing is labelled.

    Raises:
        DataError: If it does not know them all.
    """
    from bertslim.model.labels import nameless
    from bertslim.train.examples import model_labels

    if not wanted:
        return ()
    known = model_labels(teacher)
    if nameless(known) and len(known) == len(wanted):
        return wanted
    if not set(wanted) <= set(known):
        raise DataError(
            f"--teacher {job.teachers[0].origin} knows the labels {', '.join(known)}, but task "
            f"{job.task.name} has {', '.join(wanted)}",
            "take the task that the teacher was trained on",
        )
    return known


def check_together(
    job: "Job",
    planned: "Plan",
    student: "SlimConfig",
    teachers: "Sequence[SlimModel]",
) -> None:
    """See whether what teachers say can be averaged, and compared word by word.

    Raises:
        SettingsError: If not.
    """
    from bertslim.methods.distill.settings import ANSWERS, TAUGHT

    if len(teachers) > 1 and planned.compares_states:
        terms = ", ".join(t for t in planned.weights if t not in ANSWERS)
        raise SettingsError(
            f"{len(teachers)} teachers: this objective compares states ({terms}), and those of "
            "different models have no average",
            "give one --teacher, or --objective logits",
        )
    words = sorted({student.vocab_size, *(teacher.config.vocab_size for teacher in teachers)})
    guessed = planned.weights.keys() & set(TAUGHT)
    if job.task.kind == "masked-lm" and guessed and len(words) > 1:
        raise SettingsError(
            "student and teacher guess among different numbers of words: "
            f"{' and '.join(map(str, words))}",
            "take a student with the teacher's vocabulary",
        )


def expert(
    job: "Job",
    checkpoint: "Checkpoint",
    model: "SlimModel",
    planned: "Plan",
    learnt: "Examples",
    reported: "Examples | None",
) -> Expert:
    """Say how a teacher reads what the student reads.

    Raises:
        DataError: If it knows other labels than the first.
        SettingsError: If token by token is compared, and the tokens differ.
    """
    from bertslim.model.running import decoder_of
    from bertslim.train.examples import load_tokenizer, prepare

    order = _order(job, checkpoint, model, learnt)
    if _reads_alike(job, checkpoint, learnt, model) and list(order) == sorted(order):
        seen = replace(reported, decode=decoder_of(model)) if reported else None
        return Expert(checkpoint, model, order, None, seen)
    tokenizer = load_tokenizer(checkpoint.path)
    theirs = prepare(learnt.data, learnt.task, model, tokenizer)
    shown = prepare(reported.data, reported.task, model, tokenizer) if reported else None
    same = _same_column(learnt.encoded, theirs.encoded, "input_ids")
    # of words that are guessed, one text at a time, the types are all the first
    alike = job.task.kind == "masked-lm"
    if same and (alike or _same_column(learnt.encoded, theirs.encoded, "token_type_ids")):
        return Expert(checkpoint, model, order, None, shown)
    if not same and (planned.compares_tokens or job.task.kind not in (*TEXTS, TAGS)):
        raise SettingsError(
            f"{job.source.origin} and --teacher {checkpoint.origin} read other tokens, and "
            f"{'this objective' if planned.compares_tokens else job.task.kind} compares tokens",
            "take a student with the teacher's tokenizer"
            + (", or --objective logits or pkd" if job.task.kind in (*TEXTS, TAGS) else ""),
        )
    return Expert(checkpoint, model, order, theirs.encoded, shown)


def word_by_word(
    learnt: "Examples", experts: Sequence[Expert]
) -> "tuple[Examples, tuple[Expert, ...]]":
    """Leave labels at the words that the student and all its teachers have read."""
    from bertslim.train.alignment import shared_words

    rows = [one.rows for one in experts if one.rows is not None]
    if not rows:
        return learnt, tuple(experts)
    own, *theirs = shared_words([learnt.encoded, *rows])
    place = iter(theirs)
    shared = (one if one.rows is None else replace(one, rows=next(place)) for one in experts)
    return replace(learnt, encoded=own), tuple(shared)


def _order(
    job: "Job", checkpoint: "Checkpoint", model: "SlimModel", learnt: "Examples"
) -> tuple[int, ...]:
    """Return which of a teacher's outputs stands for each of the student's labels."""
    from bertslim.model.labels import nameless
    from bertslim.train.examples import model_labels

    labels = learnt.labels
    known = model_labels(model) if labels else ()
    if nameless(known) and len(known) == len(labels):
        # outputs without names are the task's labels, in its order
        known = learnt.task.labels
    if set(known) != set(labels):
        raise DataError(
            f"--teacher {checkpoint.origin} knows the labels {', '.join(known)}, and --teacher "
            f"{job.teachers[0].origin} knows {', '.join(labels)}",
            "teachers of one student have to know the same labels",
        )
    return tuple(known.index(label) for label in labels)


def _reads_alike(
    job: "Job", checkpoint: "Checkpoint", learnt: "Examples", model: "SlimModel"
) -> bool:
    """Whether two models certainly read the same: their tokenizers are equal, file by file."""
    longest = model.config.positions
    if job.has_own_words or (longest is not None and job.task.max_length > longest):
        return False
    types = {"token_type_ids" in learnt.encoded.column_names, model.config.reads_token_types}
    files = {other.tokenizer_digest() for other in (job.source, checkpoint)}
    return len(types) == len(files) == 1


def _same_column(a: "Dataset", b: "Dataset", name: str) -> bool:
    if name not in a.column_names or name not in b.column_names:
        return name not in a.column_names and name not in b.column_names
    first, second = (data.with_format("arrow")[:][name] for data in (a, b))
    return bool(first.equals(second))
