"""`bertslim distill`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.distill_job import Words
from bertslim.commands.distill_teachers import TEXTS
from bertslim.commands.finetune import lasting, train_settings
from bertslim.commands.options import (
    DeviceOption,
    Seed,
    StepOptions,
    TaskFile,
    TrainingOptions,
    command,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.commands.tables import table_in
from bertslim.errors import SettingsError, fault_list
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.digest import file_digest
from bertslim.train.task import Task, load_task, task_digest


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
    ] = "skip"
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


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "distill",
        examples="""
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4 |
          bertslim distill - --teacher models/sst2 --task sst2.toml
        bertslim distill models/sst2 --teacher models/sst2 --task sst2.toml --student layers=3 \\
          --objective pkd
        bertslim distill models/sst2 --teacher models/sst2 --task sst2.toml \\
          --student layers=4,hidden=192,ffn=768
        bertslim distill models/sst2 --teacher models/sst2 --teacher models/sst2-large \\
          --task sst2.toml --student layers=3
        bertslim distill models/bert --teacher models/bert --task wikitext2.toml \\
          --student layers=3 --objective tinybert
        """,
    )(distill)


def distill(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="What becomes the student: a directory, a hub name, or - for the pipe.",
            show_default=False,
        ),
    ],
    teacher: Annotated[
        list[str],
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="Directory or hub name of a model that was fine-tuned on the task; "
            "the answers of several are averaged.",
            show_default=False,
        ),
    ],
    task: TaskFile,
    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            metavar="SHAPE",
            help="Cut the input to this shape first: layers=3, hidden=192, heads=6, ffn=768.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    teaching: TeachingOptions,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Train a student on what its teacher says.

    The input is the student: a model that was made smaller, to recover; or, with --student, a model
    to cut one out of, which starts as near to it as it can. It learns the teacher's logits,
    softened, and the labels; or its states and attentions as well. A head that it lacks, or that
    knows other labels, is made anew. The weights of the best epoch are kept; the best is chosen on
    a slice of the training data that is held out for it.

    With a masked-lm task the student learns from plain text, before any task: the words that its
    teacher guesses, or, with --objective tinybert, its states alone; it has no head then.

    Interrupt it and run the same command again: it goes on where it was.
    """
    from bertslim.methods.distill.settings import distill_settings

    described = load_task(task)
    _refuse_what_cannot_be(described, teaching)
    wishes = distill_settings(
        teaching.objective,
        teaching.temperature,
        teaching.alpha,
        teaching.weight or (),
        teaching.match,
        student,
    )
    settings = train_settings(training, seed, device)
    checkpoint = open_checkpoint(read_source(model))
    teachers = _open_teachers(teacher)
    texts = {"unlabelled": teaching.unlabelled} if teaching.unlabelled else {}
    wanted = Step(
        command="distill",
        settings={**asdict(wishes), **lasting(settings), **_of_words(described, teaching)},
        inputs={"model": checkpoint, **teachers},
        suffix=_suffix(student),
        data={
            "task": task_digest(described, ("train", "validation")),
            **{role: file_digest(path) for role, path in texts.items()},
        },
        data_sources={"task": str(task), **{role: str(path) for role, path in texts.items()}},
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.distill_job import Job
        from bertslim.commands.distilling import run

        job = Job(
            checkpoint,
            tuple(teachers.values()),
            described,
            wishes,
            settings,
            unlabelled=teaching.unlabelled,
            cache=teaching.cache,
            live=teaching.no_cache,
            words=teaching.words,
        )
        return run(job, directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


def _refuse_what_cannot_be(task: Task, teaching: TeachingOptions) -> None:
    faults = []
    if teaching.words == "all" and task.kind != "masked-lm":
        faults.append(f"--words all is for masked-lm tasks; {task.name} is {task.kind}")
    if teaching.unlabelled and task.kind not in TEXTS:
        faults.append(f"--unlabelled is for tasks on whole texts; {task.name} is {task.kind}")
    if teaching.cache and teaching.no_cache:
        faults.append("--cache and --no-cache exclude each other")
    if faults:
        raise SettingsError(fault_list("these options do not go together", faults))


def _open_teachers(names: list[str]) -> dict[str, Checkpoint]:
    """Open the teachers; the first is `teacher`, the second `teacher-2`.

    Raises:
        SettingsError: If one of them is there twice.
    """
    checkpoints = [open_checkpoint(name) for name in names]
    places = [checkpoint.path.resolve() for checkpoint in checkpoints]
    if twice := [n for n, place in zip(names, places, strict=True) if places.count(place) > 1]:
        raise SettingsError(f"--teacher {twice[0]} is given twice", "name each teacher once")
    roles = ["teacher", *(f"teacher-{number}" for number in range(2, len(names) + 1))]
    return dict(zip(roles, checkpoints, strict=True))


def _of_words(task: Task, teaching: TeachingOptions) -> dict[str, str]:
    """Return the settings that masked-lm tasks have beside the others."""
    return {"words": teaching.words} if task.kind == "masked-lm" else {}


def _suffix(student: str | None) -> str:
    """Return what the default output's name says of the student."""
    shape = (student or "").replace("=", "").replace(" ", "")
    return "-".join(["distilled", *filter(None, shape.split(","))])
