"""`bertslim theseus`."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bertslim.commands.options import (
    DeviceOption,
    Model,
    Seed,
    StepOptions,
    TaskFile,
    command,
    given_options,
    refuse_options,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.commands.training import TrainingOptions, lasting, train_settings
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.task import load_task, task_digest

if TYPE_CHECKING:
    from bertslim.methods.theseus.settings import Theseus


@dataclass(frozen=True, slots=True)
class ReplacingOptions:
    """How modules are replaced."""

    schedule: Annotated[
        Literal["linear", "constant", "anti"],
        typer.Option(
            "--schedule",
            help="linear: the rate rises to 1; constant; anti: it falls from 1, for comparison.",
        ),
    ] = "linear"
    rate: Annotated[
        float,
        typer.Option("--rate", help="Where the line begins, or the constant: above 0, up to 1."),
    ] = 0.3
    full_at: Annotated[
        str,
        typer.Option(
            "--full-at",
            metavar="STEP",
            help="Where the line ends: a step (500), or a fraction of --epochs (0.8; 1.0 is all).",
        ),
    ] = "1.0"
    finetune_epochs: Annotated[
        int,
        typer.Option("--finetune-epochs", help="Epochs after --epochs, with the successor alone."),
    ] = 1
    unfreeze: Annotated[
        bool, typer.Option("--unfreeze", help="Train embeddings and head in those as well.")
    ] = False
    distill: Annotated[
        float,
        typer.Option(
            "--distill",
            metavar="WEIGHT",
            help="Learn from the predecessor's logits too; the labels get the rest of 1.",
        ),
    ] = 0.0
    initialise: Annotated[
        Literal["first", "last", "spread"],
        typer.Option(
            "--initialise", help="Of `layers`: what they begin as; spread is one of each group."
        ),
    ] = "first"
    sharing: Annotated[
        Literal["index", "similar", "fitted"],
        typer.Option(
            "--sharing",
            help="Of `kv-heads`: what heads share at first: a mean of neighbours, a mean of similar"
            " heads, or what changes the attention least.",
        ),
    ] = "fitted"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "theseus",
        examples="""
        bertslim theseus models/sst2 --task sst2.toml --successor layers=1/2
        bertslim theseus models/sst2 --task sst2.toml --successor layers=2+2+1+1,ffn=768
        bertslim theseus models/squad --task squad.toml --successor kv-heads=1,window=64
        """,
    )(theseus)


def theseus(
    context: typer.Context,
    model: Model,
    task: TaskFile,
    successor: Annotated[
        str,
        typer.Option(
            "--successor",
            metavar="KINDS",
            help="What replaces the modules: any of layers=1/2 or layers=2+2+1+1, kv-heads=N,"
            " window=N or window=64+64+full, ffn=N, between commas.",
            show_default=False,
        ),
    ],
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    replacing: ReplacingOptions,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Replace a model's modules by cheaper ones, little by little (BERT-of-Theseus).

    The model is fine-tuned already, and frozen. Every batch of --epochs goes through a random
    mixture of its modules and those of the successor, which alone learn, from the task; with time
    more of them are the successor's. Then the successor learns alone for --finetune-epochs. The
    weights of the best epoch are kept. The best is chosen on a slice of the training data that is
    held out for it, with the successor alone.

    Interrupt it and run the same command again: it goes on where it was.
    """
    from bertslim.methods.theseus.settings import Theseus

    wishes = Theseus("".join(successor.split()), **asdict(replacing))
    _refuse_idle(wishes, given_options(context))
    described = load_task(task)
    settings = train_settings(training, seed, device)
    settings = replace(settings, epochs=settings.epochs + wishes.finetune_epochs)
    checkpoint = open_checkpoint(read_source(model))
    wanted = Step(
        command="theseus",
        settings={**_settings(wishes), **lasting(settings)},
        inputs={"model": checkpoint},
        suffix=wishes.successor.replace("/", "of").replace(",", "-").replace("=", ""),
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.theseus.work import Job, run

        return run(Job(checkpoint, described, wishes, settings), directory, resume)

    if step.dry_run:
        from bertslim.commands.theseus.work import refuse_model

        refuse_model(checkpoint, wishes)
    run_step(context, wanted, step, work, restart=training.restart)


def _settings(wishes: "Theseus") -> dict[str, Any]:
    """Keep the settings that play a part: the same result has the same request."""
    idle = _idle(wishes)
    return {name: value for name, value in asdict(wishes).items() if name not in idle}


def _idle(wishes: "Theseus") -> dict[str, str]:
    """Return the options that play no part, by their names, and why they play none."""
    asked = f"and --successor {wishes.successor} has none: leave it out, or add"
    parts = {
        "full_at": (
            wishes.schedule != "constant",
            "is where a line ends, and --schedule constant has none: leave it out",
        ),
        "initialise": ("layers=" in wishes.successor, f"is for layers, {asked} layers=1/2, say"),
        "sharing": ("kv-heads=" in wishes.successor, f"is for kv-heads, {asked} kv-heads=1, say"),
    }
    return {name: why for name, (has_one, why) in parts.items() if not has_one}


def _refuse_idle(wishes: "Theseus", given: Collection[str]) -> None:
    """Refuse options that play no part.

    Raises:
        SettingsError: Naming all of them.
    """
    faults = [
        f"--{name.replace('_', '-')} {getattr(wishes, name)} {why}"
        for name, why in _idle(wishes).items()
        if name in given
    ]
    refuse_options(faults)
