"""`bertslim augment`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.augment.job import Job, TableFormat
from bertslim.commands.options import (
    DeviceOption,
    Seed,
    StepOptions,
    TaskFile,
    command,
    refuse_options,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.commands.training import few_labels_setting
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.digest import file_digest
from bertslim.train.task import Task, load_task, task_digest

KINDS = ("text-classification", "text-regression", "masked-lm")
ANY_CHARACTER = "\U0010ffff"
"""The last one of Unicode: what holds it holds whatever a vocabulary has."""


@dataclass(frozen=True, slots=True)
class ChangingOptions:
    """How texts are changed."""

    method: Annotated[
        Literal["tinybert", "tang"],
        typer.Option(
            "--method",
            help="Whose rules: masked-lm at 0.4 (TinyBERT); mask at 0.1, pos at 0.1 and ngram at"
            " 0.25 (Tang et al.).",
            show_default=False,
        ),
    ]
    copies: Annotated[
        int, typer.Option("--copies", min=1, help="Copies that are tried for each row.")
    ] = 20
    rate: Annotated[
        list[str] | None,
        typer.Option(
            "--rate",
            metavar="RULE=P",
            help="Probability of a rule, for each word (mask, pos, masked-lm) or text (ngram); 0"
            " leaves it out. May be given for several.",
            show_default=False,
        ),
    ] = None
    candidates: Annotated[
        int,
        typer.Option("--candidates", min=1, help="Of masked-lm: among how many words is drawn."),
    ] = 15
    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Of masked-lm: GloVe vectors as text, where words of several pieces look for"
            " their neighbours; otherwise the model's embedding table.",
            show_default=False,
        ),
    ] = None
    lexicon: Annotated[
        Path | None,
        typer.Option(
            "--lexicon",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Of pos: a word and its part of speech a line; otherwise words with alike"
            " neighbours are taken for one part of speech.",
            show_default=False,
        ),
    ] = None
    mask_token: Annotated[
        str,
        typer.Option(
            "--mask-token", metavar="TOKEN", help="Of mask: what is written; RoBERTa's is <mask>."
        ),
    ] = "[MASK]"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What is written, and whether from the beginning."""

    form: Annotated[
        TableFormat, typer.Option("--format", help="Format of the table: rows.FORMAT.")
    ] = "jsonl"
    keep_labels: Annotated[
        bool,
        typer.Option(
            "--keep-labels", help="Write the label of the row that a copy was made of as well."
        ),
    ] = False
    all_rows: Annotated[
        bool,
        typer.Option(
            "--all-rows",
            help="Augment those rows too that training with this seed chooses its epoch by.",
        ),
    ] = False
    labels_per_class: Annotated[
        int | None,
        typer.Option(
            "--labels-per-class",
            metavar="N",
            min=2,
            help="As the training will be told: leave out those rows that it chooses its epoch by"
            " then, and with --keep-labels those whose labels it does not see.",
            show_default=False,
        ),
    ] = None
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Forget an interrupted run instead of resuming it."),
    ] = False


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "augment",
        examples="""
        bertslim augment --task sst2.toml --method tinybert --model models/bert-masked-lm
        bertslim augment --task sst2.toml --method tang --rate ngram=0 --format parquet
        bertslim distill models/sst2 --teacher models/sst2 --task sst2.toml --alpha 1 \\
          --unlabelled "$(bertslim augment --task sst2.toml --method tang)"
        """,
    )(augment)


def augment(
    context: typer.Context,
    task: TaskFile,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Of masked-lm: a masked language model: a directory, a hub name, or - for the"
            " pipe.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    changing: ChangingOptions,
    table: TableOptions,
    step: StepOptions,
) -> None:
    """Write more training texts, made out of those that a task has.

    Each row is copied with other words. The copies are a table in a directory, which distill takes
    as --unlabelled: its teacher says what they are. What becomes of a row depends on the seed and
    on the row alone. Of a pair one text changes at a time, or, with Tang's rules, also both;
    the other stays as it was written.

    Interrupt it and run the same command again: it goes on where it was.
    """
    from bertslim.methods.augment.settings import augment_settings

    described = load_task(task)
    wishes = augment_settings(
        changing.method,
        changing.rate or (),
        changing.copies,
        changing.candidates,
        changing.mask_token,
    )
    _refuse_what_cannot_be(described, wishes.rates, model, changing, table)
    checkpoint = None if model is None else open_checkpoint(read_source(model))
    job = Job(
        task=described,
        augment=wishes,
        model=checkpoint,
        vectors=changing.vectors,
        lexicon=changing.lexicon,
        form=table.form,
        keep_labels=table.keep_labels,
        all_rows=table.all_rows,
        labels_per_class=table.labels_per_class,
        seed=seed,
        device=device,
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.augment.work import run

        return run(job, directory, resume)

    run_step(context, _step(job, task, checkpoint), step, work, restart=table.restart)


def _step(job: Job, task: Path, checkpoint: Checkpoint | None) -> Step:
    files = {"vectors": job.vectors, "lexicon": job.lexicon}
    given = {role: path for role, path in files.items() if path is not None}
    return Step(
        command="augment",
        settings=_settings(job),
        inputs={} if checkpoint is None else {"model": checkpoint},
        suffix="augmented",
        data={
            "task": task_digest(job.task, ("train",)),
            **{role: file_digest(path) for role, path in given.items()},
        },
        data_sources={"task": str(task), **{role: str(path) for role, path in given.items()}},
        beside=task.with_suffix(""),
    )


def _settings(job: Job) -> dict[str, Any]:
    """Keep the settings that play a part: the same result has the same request."""
    kept = asdict(job.augment)
    if not job.augment.uses("masked-lm"):
        del kept["candidates"]
    if not job.augment.uses("mask"):
        del kept["mask_token"]
    names = ("form", "keep_labels", "all_rows", "seed")
    few = few_labels_setting(job.labels_per_class, [job.task])
    return kept | {name: getattr(job, name) for name in names} | few


def _refuse_what_cannot_be(
    task: Task,
    rates: Mapping[str, float],
    model: str | None,
    changing: ChangingOptions,
    table: TableOptions,
) -> None:
    faults = []
    if task.kind not in KINDS:
        faults.append(f"augment is for whole texts: {', '.join(KINDS)}; {task.name} is {task.kind}")
    if "masked-lm" in rates and model is None:
        faults.append("masked-lm needs --model, a masked language model")
    users = {"--model": (model, "masked-lm"), "--vectors": (changing.vectors, "masked-lm")}
    users["--lexicon"] = (changing.lexicon, "pos")
    for flag, (value, rule) in users.items():
        if value is not None and rule not in rates:
            faults.append(f"{flag} serves {rule} alone, which has no rate: --rate {rule}=0.1")
    if table.keep_labels and task.kind == "masked-lm":
        faults.append(f"--keep-labels: task {task.name} has no labels")
    if table.all_rows and table.labels_per_class is not None:
        faults.append("--all-rows leaves no row out, --labels-per-class does: give one of them")
    if table.form == "csv":
        reasons = _no_csv(task, rates, changing.mask_token)
        faults += [f"--format csv: {reason}; take jsonl or parquet" for reason in reasons]
    refuse_options(faults)


def _no_csv(task: Task, rates: Mapping[str, float], mask_token: str) -> Iterator[str]:
    """Say why the task could not read the copies as CSV; its own texts it has read."""
    if task.layout.quoting is False:
        yield f"task {task.name} says quoting = false"
    new = {"masked-lm": ANY_CHARACTER, "mask": mask_token}
    rules = [rule for rule, text in new.items() if rule in rates and not _holds(task, text)]
    if rules:
        encoding = f"the encoding of task {task.name}, {task.layout.encoding}"
        yield f"{encoding}, lacks characters that {' and '.join(rules)} may write"


def _holds(task: Task, text: str) -> bool:
    """Whether the files of a task can hold a text in their encoding."""
    try:
        text.encode(task.layout.encoding)
    except UnicodeEncodeError:
        return False
    return True
