"""`bertslim prune-heads`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bertslim.commands.figures import figures
from bertslim.commands.options import (
    Device,
    DeviceOption,
    Model,
    Seed,
    StepOptions,
    TaskFile,
    command,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.task import Task, load_task, task_digest


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "prune-heads",
        examples="""
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4 | bertslim inspect -
        """,
    )(prune_heads)


def prune_heads(
    context: typer.Context,
    model: Model,
    task: TaskFile,
    remove: Annotated[
        float,
        typer.Option("--remove", min=0, max=1, help="Fraction of all heads to remove."),
    ],
    keep_at_least: Annotated[
        int, typer.Option("--keep-at-least", min=0, help="Heads that every layer keeps.")
    ] = 1,
    examples: Annotated[
        int,
        typer.Option("--examples", min=1, help="Training examples that each scoring looks at."),
    ] = 2048,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per backward pass.")
    ] = 32,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    step: StepOptions,
) -> None:
    """Remove the attention heads that matter least.

    Nothing is retrained. A head matters as much as the loss moves when it is silenced a little,
    example by example (Michel et al. 2019). The scores come from training data, are normalised per
    layer, and are computed anew whenever a tenth of all heads has gone. The heads are cut out of
    the weights: the result is smaller and faster, not masked.
    """
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    settings = {
        "remove": remove,
        "keep_at_least": keep_at_least,
        "examples": examples,
        "seed": seed,
    }
    wanted = Step(
        command="prune-heads",
        settings=settings,
        inputs={"model": checkpoint},
        suffix=f"heads{100 * remove:.0f}",
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
    )

    def work(directory: Path, _: Path) -> dict[str, Any]:
        return _prune(checkpoint, described, directory, settings, batch_size, device)

    run_step(context, wanted, step, work)


def _prune(
    checkpoint: Checkpoint,
    task: Task,
    directory: Path,
    settings: dict[str, Any],
    batch_size: int,
    device: Device,
) -> dict[str, Any]:
    from bertslim.methods.prune_heads import prune as method
    from bertslim.model.loading import load_model, save_model
    from bertslim.train.examples import Sample, load_tokenizer, read_examples
    from bertslim.train.precision import choose_device, placed

    dense = placed(load_model(checkpoint), choose_device(device))
    tokenizer = load_tokenizer(checkpoint.path)
    reported = read_examples(task, "validation", dense, tokenizer)
    sample = Sample(settings["examples"], settings["seed"])
    scored = read_examples(task, "train", dense, tokenizer, sample)
    wanted = method.PruneHeads(settings["remove"], settings["keep_at_least"], batch_size)
    pruned, report = method.prune_heads(dense, wanted, scored.encoded, scored.masking)
    save_model(pruned, directory, tokenizer_from=checkpoint.path)
    return {
        "heads": asdict(report),
        "before": figures(dense, reported),
        "after": figures(pruned, reported),
    }
