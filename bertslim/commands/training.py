"""What every command that trains can be told, and what of that makes its request."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.options import Device
from bertslim.errors import SettingsError
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task

Precision = Literal["auto", "fp32", "bf16"]
SECONDS_BETWEEN_SAVES = 120.0
"""How much work an interruption that cannot be caught may cost."""
LabelsPerClass = Annotated[
    int | None,
    typer.Option(
        "--labels-per-class",
        metavar="N",
        min=2,
        help="Use the labels of only so many training texts of each class; --seed chooses them.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how fast a kind of model is trained where nothing is said."""

    epochs: int
    learning_rate: float
    dropout: float


TRANSFORMER = Pace(epochs=3, learning_rate=5e-5, dropout=0.0)
RECURRENT = Pace(epochs=20, learning_rate=1e-3, dropout=0.2)
"""A small model, most of which begins at random."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Options of every command that trains."""

    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Passes over the training data.",
            show_default=f"{TRANSFORMER.epochs}; recurrent models: {RECURRENT.epochs}",
        ),
    ] = None
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per optimisation step.")
    ] = 32
    accumulation: Annotated[
        int,
        typer.Option("--accumulation", min=1, help="Parts a batch is cut into to save memory."),
    ] = 1
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            min=0,
            help="Highest rate of AdamW, above 0.",
            show_default=f"{TRANSFORMER.learning_rate}; recurrent models: "
            f"{RECURRENT.learning_rate}",
        ),
    ] = None
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", min=0, help="Decay of the weight matrices.")
    ] = 0.01
    warmup: Annotated[
        float,
        typer.Option("--warmup", min=0, max=1, help="Fraction of the steps that warm up."),
    ] = 0.1
    clip: Annotated[
        float, typer.Option("--clip", min=0, help="Largest L2 norm of the gradient, above 0.")
    ] = 1.0
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout",
            min=0,
            max=1,
            help="Dropout while training; every step takes longer with it.",
            show_default=f"{TRANSFORMER.dropout}; recurrent models: {RECURRENT.dropout}",
        ),
    ] = None
    freeze_embeddings: Annotated[
        bool, typer.Option("--freeze-embeddings", help="Leave the word embedding table as it is.")
    ] = False
    precision: Annotated[
        Precision,
        typer.Option("--precision", help="Arithmetic; auto is bf16 where the hardware has it."),
    ] = "auto"
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Forget an interrupted run instead of resuming it."),
    ] = False


def train_settings(
    training: TrainingOptions, seed: int, device: Device, pace: Pace = TRANSFORMER
) -> TrainSettings:
    """Turn the options into the loop's settings; what is not given is as usual at this pace."""
    given = asdict(training)
    del given["restart"]
    given |= {name: value for name, value in asdict(pace).items() if given[name] is None}
    return TrainSettings(**given, seed=seed, device=device)


def lasting(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that change the result: not the memory used, not the device."""
    kept = asdict(settings)
    for name in ("accumulation", "device"):
        del kept[name]
    return kept


def few_labels_setting(most: int | None, tasks: Sequence[Task]) -> dict[str, int]:
    """Return `--labels-per-class` as a setting; without it the request is what it always was.

    Raises:
        SettingsError: If a task has no classes of texts.
    """
    if most is None:
        return {}
    if others := [task for task in tasks if task.kind != "text-classification"]:
        named = ", ".join(f"{task.name} is {task.kind}" for task in others)
        raise SettingsError(
            f"--labels-per-class is for text-classification; {named}",
            "leave it out, or write a task with fewer rows",
        )
    return {"labels_per_class": most}
