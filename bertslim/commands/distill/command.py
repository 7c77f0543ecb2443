"""`bertslim distill`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bertslim.commands.distill.job import Job
from bertslim.commands.distill.options import (
    Input,
    StudentOptions,
    Teachers,
    TeachingOptions,
    refuse_unguessed_words,
    refuse_what_cannot_be,
    vectors_file,
)
from bertslim.commands.distill.teachers import teachers_of
from bertslim.commands.multitask import (
    Balance,
    heads_of,
    load_tasks,
    names_of_several,
    task_digests,
    task_sources,
    together,
)
from bertslim.commands.options import DeviceOption, Seed, StepOptions, TaskFiles, command
from bertslim.commands.step import Step, read_source, run_step
from bertslim.commands.training import (
    RECURRENT,
    TRANSFORMER,
    Pace,
    TrainingOptions,
    few_labels_setting,
    lasting,
    train_settings,
)
from bertslim.errors import gathered
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.digest import file_digest
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.methods.distill.settings import Distill


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
        bertslim distill models/sst2 --teacher models/sst2 --teacher models/stsb --task sst2.toml \\
          --task stsb.toml --student attentive-lstm
        """,
    )(distill)


def distill(
    context: typer.Context,
    model: Input,
    teacher: Teachers,
    task: TaskFiles,
    balance: Balance = None,
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

    With several --task one student encoder learns them in turns, with a head for each. The output
    is the encoder, and tasks/NAME in it the whole student of each task; the best epoch is that of
    the best mean of the tasks' metrics.

    Interrupt it and run the same command again: it goes on where it was.
    """
    tasks = load_tasks(task)
    vectors = vectors_file(building.embeddings)
    wishes = _wishes(teaching, building)
    refuse_what_cannot_be(tasks, teaching, building, wishes)
    refuse_unguessed_words(teaching, wishes)
    checkpoint = open_checkpoint(read_source(model))
    settings = train_settings(training, seed, device, _pace(wishes, checkpoint))
    teachers = teachers_of(teacher, tasks)
    _refuse_other_tasks(wishes, tasks)
    several, heads = together(tasks, balance), heads_of(checkpoint, tasks)
    jobs = {
        one.name: Job(
            heads.get(one.name, checkpoint),
            tuple(teachers[one.name].values()),
            one,
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
        for one in tasks
    }
    given = {"unlabelled": teaching.unlabelled, "embeddings": vectors}
    texts = {role: path for role, path in given.items() if path}
    wanted = Step(
        command="distill",
        settings=_settings(tuple(jobs.values())) | several,
        inputs={
            "model": checkpoint,
            **{f"model-{name}": head for name, head in heads.items()},
            **{role: one for own in teachers.values() for role, one in own.items()},
        },
        suffix=_suffix(building.student),
        data=task_digests(tasks) | {role: file_digest(path) for role, path in texts.items()},
        data_sources=task_sources(tasks, task) | {role: str(path) for role, path in texts.items()},
        method_version=2,
        tasks=names_of_several(tasks),
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.distill.together import run_together
        from bertslim.commands.distill.work import run

        if several:
            return run_together(jobs, several["balance"], directory, resume)
        return run(jobs[tasks[0].name], directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


def _wishes(teaching: TeachingOptions, building: StudentOptions) -> "Distill":
    from bertslim.methods.distill.settings import distill_settings

    return distill_settings(
        teaching.objective,
        teaching.temperature,
        teaching.alpha,
        teaching.weight or (),
        teaching.match,
        building.student,
        building.embeddings,
    )


def _pace(wishes: "Distill", checkpoint: Checkpoint) -> Pace:
    """Return how the student is trained where nothing is said: it is built, cut, or the input."""
    from bertslim.methods.distill.recurrent import RecurrentShape

    recurrent = isinstance(wishes.student, RecurrentShape) or checkpoint.is_recurrent
    return RECURRENT if recurrent else TRANSFORMER


def _refuse_other_tasks(wishes: "Distill", tasks: Sequence[Task]) -> None:
    from bertslim.methods.distill.recurrent import RecurrentShape, refuse_other_tasks

    if isinstance(wishes.student, RecurrentShape):
        kinds = dict.fromkeys(one.kind for one in tasks)
        refusals = [partial(refuse_other_tasks, wishes.student, kind) for kind in kinds]
        gathered("the student is not for all of these tasks", refusals)


def _settings(jobs: Sequence[Job]) -> dict[str, Any]:
    """Keep what determines the result, which is said of all tasks alike."""
    from bertslim.methods.distill.settings import requested

    job, tasks = jobs[0], [one.task for one in jobs]
    # masked words are learnt alone
    words = {"words": job.words} if job.task.kind == "masked-lm" else {}
    thaw = {"thaw": True} if job.thaw else {}
    few = few_labels_setting(job.labels_per_class, tasks)
    return {**requested(job.distill), **lasting(job.training), **words, **few, **thaw}


def _suffix(student: str | None) -> str:
    """Return what the default output's name says of the student."""
    shape = (student or "").replace("=", "").replace(" ", "")
    return "-".join(["distilled", *filter(None, shape.split(","))])
