"""What `distill` can be told beside the options of all training, and what excludes what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bertslim.commands.distill.job import Words
from bertslim.commands.distill.material import POOLED
from bertslim.commands.options import refuse_options
from bertslim.commands.tables import table_in
from bertslim.commands.training import LabelsPerClass
from bertslim.errors import SettingsError
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.methods.distill.settings import Distill


Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="What becomes the student: a directory, a hub name, or - for the pipe.",
        show_default=False,
    ),
]
Teachers = Annotated[
    list[str],
    typer.Option(
        "--teacher",
        metavar="MODEL",
        help="Directory or hub name of a model that was fine-tuned on the task; the answers of"
        " several are averaged. With several --task: one for each, in their order, or one that was"
        " fine-tuned on all.",
        show_default=False,
    ),
]

MATCH = "skip"
"""The layers compared where nothing is said."""


def _absolute(embeddings: str | None) -> str | None:
    """Return a file's whole path, so that a replay finds it from anywhere."""
    from bertslim.methods.distill.recurrent import TABLES

    if embeddings is not None and embeddings not in TABLES and Path(embeddings).is_file():
        return str(Path(embeddings).resolve())
    return embeddings


@dataclass(frozen=True, slots=True)
class StudentOptions:
    """What the student is, and how it is opened."""

    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            metavar="SHAPE",
            help="Cut the input to this shape first: layers=3, hidden=192, heads=6, ffn=768; or "
            "build a recurrent one: bilstm, cnn-lstm, attentive-lstm; cnn-lstm,crf=1 has a CRF.",
            show_default=False,
        ),
    ] = None
    embeddings: Annotated[
        str | None,
        typer.Option(
            "--embeddings",
            metavar="teacher|random|FILE",
            callback=_absolute,
            help="Where the words of a recurrent student begin; FILE is as GloVe writes it.",
            show_default="teacher",
        ),
    ] = None
    labels_per_class: LabelsPerClass = None
    thaw: Annotated[
        bool,
        typer.Option(
            "--thaw",
            help="Let the head learn first, then one layer more at a time, and the words last.",
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class TeachingOptions:
    """What is learnt from the teacher."""

    objective: Annotated[
        Literal["logits", "pkd", "distilbert", "tinybert"],
        typer.Option("--objective", help="What of student and teacher is compared."),
    ] = "logits"
    temperature: Annotated[
        float,
        typer.Option("--temperature", help="Softens what teacher and student say; above 0."),
    ] = 2.0
    alpha: Annotated[
        float | None,
        typer.Option(
            "--alpha",
            help="Weight of the teacher's logits, 0 to 1; the labels get the rest.",
            show_default="0.9; tinybert: neither",
        ),
    ] = None
    weight: Annotated[
        list[str] | None,
        typer.Option(
            "--weight",
            metavar="NAME=X",
            help="Weight of a term of the objective; may be given for several.",
            show_default=False,
        ),
    ] = None
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="skip|last|N,N...",
            help="The teacher's layers that the student's are compared with.",
        ),
    ] = MATCH
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            "--unlabelled",
            metavar="FILE",
            exists=True,
            callback=table_in,
            help="More texts to ask the teacher about, or what augment made; with it labels are not"
            " learnt from.",
            show_default=False,
        ),
    ] = None
    words: Annotated[
        Words,
        typer.Option(
            "--words",
            help="Of a masked-lm task: at which tokens the guesses are compared.",
        ),
    ] = "masked"
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            file_okay=False,
            help="Keep the teacher's answers there for other runs.",
            show_default=False,
        ),
    ] = None
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Keep no answers: ask the teacher at every step."),
    ] = False


def refuse_what_cannot_be(
    tasks: Sequence[Task], teaching: TeachingOptions, building: StudentOptions, wishes: "Distill"
) -> None:
    """Refuse options that do not go together.

    Raises:
        SettingsError: With all of them.
    """
    from bertslim.methods.distill.plan import compares_layers, only_below_the_head

    faults = [fault for task in tasks for fault in _faults_of_task(task, teaching)]
    if teaching.cache and teaching.no_cache:
        faults.append("--cache and --no-cache exclude each other")
    if building.thaw and (terms := only_below_the_head(wishes)):
        faults.append(f"--thaw begins with the head, which has no part in {', '.join(terms)}")
    if teaching.match != MATCH and not compares_layers(wishes):
        faults.append("--match pairs layers, and none are compared: take --objective pkd, say")
    if len(tasks) > 1:
        faults += _faults_of_several(teaching, building, wishes)
    refuse_options(faults)


def _faults_of_task(task: Task, teaching: TeachingOptions) -> Iterator[str]:
    if teaching.words == "all" and task.kind != "masked-lm":
        yield f"--words all is for masked-lm tasks; {task.name} is {task.kind}"
    if teaching.unlabelled and task.kind not in POOLED:
        yield f"--unlabelled is for tasks on texts and tags; {task.name} is {task.kind}"


def _faults_of_several(
    teaching: TeachingOptions, building: StudentOptions, wishes: "Distill"
) -> Iterator[str]:
    from bertslim.methods.distill.plan import compared_states
    from bertslim.methods.distill.settings import ANSWERS

    if terms := compared_states(wishes):
        answers = ", ".join(ANSWERS)
        yield f"{', '.join(terms)} of several tasks: they have answers to learn, {answers}"
    if teaching.unlabelled:
        yield "--unlabelled is for one task: of several it is not known which its texts are for"
    if building.thaw:
        yield "--thaw is for one task"


def refuse_unguessed_words(teaching: TeachingOptions, wishes: "Distill") -> None:
    """Refuse to compare guesses at all words where no word is guessed.

    Raises:
        SettingsError: If that is asked for.
    """
    from bertslim.methods.distill.plan import learns_answers

    if teaching.words == "all" and not learns_answers(wishes):
        raise SettingsError(
            f"--words all: with --objective {teaching.objective} no word is guessed",
            "leave it out, or give --alpha",
        )


def vectors_file(embeddings: str | None) -> Path | None:
    """Return the file that `--embeddings` names, if it names one.

    Raises:
        SettingsError: If it is not there.
    """
    from bertslim.methods.distill.recurrent import TABLES

    if embeddings is None or embeddings in TABLES:
        return None
    if not (path := Path(embeddings)).is_file():
        raise SettingsError(
            f"--embeddings {embeddings} is no file, and none of {', '.join(TABLES)}",
            "give a text file with a word and its numbers on each line",
        )
    return path
