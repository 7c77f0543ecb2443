"""`bertslim distill`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertslim.commands.distill.options import (
    StudentOptions,
    TeachingOptions,
    refuse_unguessed_words,
    refuse_what_cannot_be,
    vectors_file,
)
from bertslim.commands.finetune import few_labels_setting, lasting, train_settings
from bertslim.commands.options import (
    RECURRENT,
    TRANSFORMER,
    DeviceOption,
    Seed,
    StepOptions,
    TaskFile,
    TrainingOptions,
    command,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.digest import file_digest
from bertslim.train.task import Task, load_task, task_digest


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
        bertslim distill models/sst2 --teacher models/sst2 --task sst2.toml --student bilstm \\
          --unlabelled reviews.txt --alpha 1
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
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    building: StudentOptions,
    teaching: TeachingOptions,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Train a student on what its teacher says.

    The input is the student: a model that was made smaller, to recover; or, with --student, a model
    to cut one out of, which starts as near to it as it can; or, with --student bilstm and its like,
    where a recurrent student has its word pieces from. It learns the teacher's logits,
    softened, and the labels; or its states and attentions as well. A head that it lacks, or that
    knows other labels, is made anew. The weights of the best epoch are kept; the best is chosen on
    a slice of the training data that is held out for it.

    With a masked-lm task the student learns from plain text, before any task: the words that its
    teacher guesses, or, with --objective tinybert, its states alone; it has no head then.

    Interrupt it and run the same command again: it goes on where it was.
    """
    from bertslim.methods.distill.recurrent import RecurrentShape, refuse_other_tasks
    from bertslim.methods.distill.settings import distill_settings, requested

    described = load_task(task)
    refuse_what_cannot_be(described, teaching, building)
    vectors = vectors_file(building.embeddings)
    wishes = distill_settings(
        teaching.objective,
        teaching.temperature,
        teaching.alpha,
        teaching.weight or (),
        teaching.match,
        building.student,
        building.embeddings,
    )
    refuse_unguessed_words(teaching, wishes)
    checkpoint = open_checkpoint(read_source(model))
    anew = isinstance(wishes.student, RecurrentShape)
    pace = RECURRENT if anew or checkpoint.is_recurrent else TRANSFORMER
    settings = train_settings(training, seed, device, pace)
    teachers = _open_teachers(teacher)
    if isinstance(wishes.student, RecurrentShape):
        refuse_other_tasks(wishes.student, described.kind)
    given = {"unlabelled": teaching.unlabelled, "embeddings": vectors}
    texts = {role: path for role, path in given.items() if path}
    wanted = Step(
        command="distill",
        settings={
            **requested(wishes),
            **lasting(settings),
            **_of_words(described, teaching),
            **few_labels_setting(building.labels_per_class, described),
            **({"thaw": True} if building.thaw else {}),
        },
        inputs={"model": checkpoint, **teachers},
        suffix=_suffix(building.student),
        data={
            "task": task_digest(described, ("train", "validation")),
            **{role: file_digest(path) for role, path in texts.items()},
        },
        data_sources={"task": str(task), **{role: str(path) for role, path in texts.items()}},
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.distill.job import Job
        from bertslim.commands.distill.work import run

        job = Job(
            checkpoint,
            tuple(teachers.values()),
            described,
            wishes,
            settings,
            unlabelled=teaching.unlabelled,
            vectors=vectors,
            labels_per_class=building.labels_per_class,
            thaw=building.thaw,
            cache=teaching.cache,
            live=teaching.no_cache,
            words=teaching.words,
        )
        return run(job, directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


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
