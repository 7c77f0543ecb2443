"""`bertslim distill`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.distill_material import POOLED
from bertslim.commands.finetune import few_labels_setting, lasting, train_settings
from bertslim.commands.options import (
    RECURRENT,
    TRANSFORMER,
    DeviceOption,
    LabelsPerClass,
    Seed,
    StepOptions,
    TaskFile,
    TrainingOptions,
    command,
)
from bertslim.commands.step import Step, processes, read_source, run_step
from bertslim.errors import SettingsError, fault_list
from bertslim.store.checkpoint import open_checkpoint
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
            dir_okay=False,
            help="More texts to ask the teacher about; with it labels are not learnt from.",
            show_default=False,
        ),
    ] = None
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
        str,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="Checkpoint directory or hub name of a model that was fine-tuned on the task.",
            show_default=False,
        ),
    ],
    task: TaskFile,
    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            metavar="SHAPE",
            help="Cut the input to this shape first: layers=3, hidden=192, heads=6, ffn=768; or "
            "build a recurrent one: bilstm, cnn-lstm, attentive-lstm.",
            show_default=False,
        ),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            "--embeddings",
            metavar="teacher|random|FILE",
            help="Where the words of a recurrent student begin; FILE is as GloVe writes it.",
            show_default="teacher",
        ),
    ] = None,
    labels_per_class: LabelsPerClass = None,
    thaw: Annotated[
        bool,
        typer.Option(
            "--thaw",
            help="Let the head learn first, then one layer more at a time, and the words last.",
        ),
    ] = False,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
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

    Interrupt it and run the same command again: it goes on where it was.
    """
    from bertslim.methods.distill.recurrent import RecurrentShape, refuse_other_tasks
    from bertslim.methods.distill.settings import distill_settings

    described = load_task(task)
    _refuse_what_cannot_be(described, teaching)
    _refuse_to_thaw_in_parallel(thaw=thaw)
    vectors = _vectors(embeddings)
    wishes = distill_settings(
        teaching.objective,
        teaching.temperature,
        teaching.alpha,
        teaching.weight or (),
        teaching.match,
        student,
        embeddings,
    )
    checkpoint = open_checkpoint(read_source(model))
    anew = isinstance(wishes.student, RecurrentShape)
    pace = RECURRENT if anew or checkpoint.is_recurrent else TRANSFORMER
    settings = train_settings(training, seed, device, pace)
    taught_by = open_checkpoint(teacher)
    if isinstance(wishes.student, RecurrentShape):
        refuse_other_tasks(wishes.student, described.kind)
    given = {"unlabelled": teaching.unlabelled, "embeddings": vectors}
    texts = {role: path for role, path in given.items() if path}
    wanted = Step(
        command="distill",
        settings={
            **asdict(wishes),
            **lasting(settings),
            **few_labels_setting(labels_per_class, described),
            **({"thaw": True} if thaw else {}),
        },
        inputs={"model": checkpoint, "teacher": taught_by},
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
            taught_by,
            described,
            wishes,
            settings,
            unlabelled=teaching.unlabelled,
            vectors=vectors,
            labels_per_class=labels_per_class,
            thaw=thaw,
            cache=teaching.cache,
            live=teaching.no_cache,
        )
        return run(job, directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


def _refuse_what_cannot_be(task: Task, teaching: TeachingOptions) -> None:
    faults = []
    if task.kind == "masked-lm":
        faults.append(f"task {task.name} is masked-lm, and distill needs a task with an answer")
    if teaching.unlabelled and task.kind not in POOLED:
        faults.append(f"--unlabelled is for tasks on texts and tags; {task.name} is {task.kind}")
    if teaching.cache and teaching.no_cache:
        faults.append("--cache and --no-cache exclude each other")
    if faults:
        raise SettingsError(fault_list("these options do not go together", faults))


def _refuse_to_thaw_in_parallel(*, thaw: bool) -> None:
    if thaw and processes() > 1:
        raise SettingsError(
            "--thaw is for one process: those of torchrun settle at the start what learns",
            "run it without torchrun",
        )


def _vectors(embeddings: str | None) -> Path | None:
    """Return the file that `--embeddings` names, if it names one."""
    from bertslim.methods.distill.recurrent import TABLES

    if embeddings is None or embeddings in TABLES:
        return None
    if not (path := Path(embeddings)).is_file():
        raise SettingsError(
            f"--embeddings {embeddings} is no file, and none of {', '.join(TABLES)}",
            "give a text file with a word and its numbers on each line",
        )
    return path


def _suffix(student: str | None) -> str:
    """Return what the default output's name says of the student."""
    shape = (student or "").replace("=", "").replace(" ", "")
    return "-".join(["distilled", *filter(None, shape.split(","))])
