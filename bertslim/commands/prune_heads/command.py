"""`bertslim prune-heads`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertslim.commands.options import (
    DeviceOption,
    Model,
    Seed,
    StepOptions,
    TaskFile,
    command,
    given_options,
)
from bertslim.commands.prune_heads.options import (
    BudgetOptions,
    RemovalOptions,
    ScoringOptions,
    Wishes,
)
from bertslim.commands.step import Step, rank, read_source, run_step
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.task import load_task, task_digest


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
        bertslim prune-heads models/sst2 --task sst2.toml --units heads,ffn --remove 0.5
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
    budget: BudgetOptions,
    step: StepOptions,
) -> None:
    """Remove the attention heads, and perhaps FFN units, that matter least.

    Nothing is retrained. A head matters as much as the loss moves when it is silenced a little
    (Michel et al. 2019). The scores come from training data, are normalised per layer, and are
    computed anew whenever a tenth of all heads has gone. The heads are cut out of the weights: the
    result is smaller and faster, not masked.

    The output also holds a heat map of the scores, importance.svg. With --curve it holds the
    metric at every tenth, for this order, for one ranking and for chance, as curve.json and
    curve.svg. Interrupt it and run the same command again: it goes on where it was.

    With --units heads,ffn what goes is what matters least for what it costs, in FLOPs or in
    measured milliseconds, and least squares let what is left take over the work (after Kwon et al.
    2022). There is neither a picture of that nor anything to go on with.
    """
    wishes = Wishes(removal, scoring, budget, curve)
    wishes.refuse_what_cannot_be(given_options(context))
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    wanted = Step(
        command="prune-heads",
        settings={**wishes.settings(), "seed": seed},
        inputs={"model": checkpoint},
        suffix=wishes.suffix(),
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
        method_version=2,
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.prune_heads.units import run_search
        from bertslim.commands.prune_heads.work import Job, run

        if rank() > 0:
            return {}
        job = Job(checkpoint, described, wishes, seed, device)
        return run_search(job, directory) if budget.searched else run(job, directory, resume)

    run_step(context, wanted, step, work, restart=restart)
