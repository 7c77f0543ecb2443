"""`bertslim prune-heads`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.options import (
    DeviceOption,
    Model,
    Seed,
    StepOptions,
    TaskFile,
    command,
)
from bertslim.commands.step import Step, rank, read_source, run_step
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.task import load_task, task_digest


def parse_amount(value: object) -> float | int:
    """Read a fraction of all units, or, where it is written as an integer from 1 on, a number."""
    text = str(value)
    try:
        amount = int(text) if text.isdecimal() and int(text) else float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a fraction nor a number") from error
    if isinstance(amount, float) and not 0 <= amount <= 1:
        raise typer.BadParameter(
            f"{text} is neither a fraction from 0 to 1 nor a whole number of heads"
        )
    return amount


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """How much goes, and in which order."""

    remove: Annotated[
        float | None,
        typer.Option(
            "--remove",
            parser=parse_amount,
            metavar="FRACTION|COUNT",
            help="What to remove of all heads: 0.4 is 40 %, 29 is 29 heads, 1.0 all, 1 one.",
            show_default=False,
        ),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            min=0,
            help="Instead: as much as the metric, on held-out training data, falls by no more.",
        ),
    ] = None
    keep_at_least: Annotated[
        int,
        typer.Option(
            "--keep-at-least",
            min=0,
            help="Heads that every layer keeps; 0 lets an attention go as a whole.",
        ),
    ] = 1
    order: Annotated[
        Literal["iterative", "once"],
        typer.Option("--order", help="Score the rest anew at every tenth, or rank once."),
    ] = "iterative"


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """What heads are judged by."""

    score: Annotated[
        Literal["example", "token"],
        typer.Option(
            "--score", help="Where the absolute value is taken: the paper, or the paper's code."
        ),
    ] = "example"
    examples: Annotated[
        int,
        typer.Option("--examples", min=1, help="Training examples that each scoring looks at."),
    ] = 2048
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per backward pass.")
    ] = 32


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "prune-heads",
        examples="""
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4
        bertslim prune-heads models/sst2 --task sst2.toml --max-drop 0.005 --curve
        bertslim prune-heads models/sst2 --task sst2.toml --curve -o curves/sst2
        bertslim prune-heads models/sst2 --task sst2.toml --remove 29 | bertslim inspect -
        """,
    )(prune_heads)


def prune_heads(
    context: typer.Context,
    model: Model,
    task: TaskFile,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Also measure the whole trade-off; alone, remove nothing."),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Forget an interrupted run instead of resuming it."),
    ] = False,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    removal: RemovalOptions,
    scoring: ScoringOptions,
    step: StepOptions,
) -> None:
    """Remove the attention heads that matter least.

    Nothing is retrained. A head matters as much as the loss moves when it is silenced a little
    (Michel et al. 2019). The scores come from training data, are normalised per layer, and are
    computed anew whenever a tenth of all heads has gone. The heads are cut out of the weights: the
    result is smaller and faster, not masked.

    The output also holds a heat map of the scores, importance.svg. With --curve it holds the
    metric at every tenth, for this order, for one ranking and for chance, as curve.json and
    curve.svg. Interrupt it and run the same command again: it goes on where it was.
    """
    _refuse_what_cannot_be(removal, curve=curve)
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    wanted = Step(
        command="prune-heads",
        settings={**_settings(removal, scoring), "curve": curve, "seed": seed},
        inputs={"model": checkpoint},
        suffix=_suffix(removal),
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
        method_version=2,
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.pruning import Job, run

        if rank() > 0:
            return {}
        job = Job(checkpoint, described, removal, scoring, curve, seed, device)
        return run(job, directory, resume)

    run_step(context, wanted, step, work, restart=restart)


def _settings(removal: RemovalOptions, scoring: ScoringOptions) -> dict[str, Any]:
    """Keep the options that play a part: the same result has the same request."""
    chosen = {**asdict(removal), **asdict(scoring)}
    del chosen["batch_size"]
    if removal.remove is None and removal.max_drop is None:
        del chosen["order"]
    return {name: value for name, value in chosen.items() if value is not None}


def _suffix(removal: RemovalOptions) -> str:
    """Say in the default output's name what went."""
    amount: float | int | None = removal.remove
    if isinstance(amount, int):
        return f"{amount}heads"
    if amount is not None:
        return f"heads{100 * amount:.0f}"
    return "heads-curve" if removal.max_drop is None else f"heads-drop{removal.max_drop:g}"


def _refuse_what_cannot_be(removal: RemovalOptions, *, curve: bool) -> None:
    given = (removal.remove is not None) + (removal.max_drop is not None)
    if given == 2:
        raise SettingsError(
            "--remove and --max-drop both say how much goes", "leave one of them out"
        )
    if given == 0 and not curve:
        raise SettingsError(
            "nothing says how much goes", "give --remove or --max-drop, or --curve to look first"
        )
