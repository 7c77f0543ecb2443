"""The options of `quantize`, by what they are about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """Where ranges come from."""

    text: Annotated[
        Path | None,
        typer.Option(
            "--text",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Calibrate on these texts instead of a task: a line each, or a column `text`.",
        ),
    ] = None
    calibration: Annotated[
        Literal["entropy", "percentile", "mse", "minmax"],
        typer.Option("--calibration", help="How the range of an activation is chosen."),
    ] = "entropy"
    percentile: Annotated[
        float,
        typer.Option("--percentile", min=50, max=100, help="What `percentile` keeps, in percent."),
    ] = 99.99
    examples: Annotated[
        int, typer.Option("--examples", min=1, help="Training rows, or texts, to calibrate on.")
    ] = 256


@dataclass(frozen=True, slots=True)
class Int8Options:
    """What int8 does beyond plain calibration."""

    smooth: Annotated[
        bool,
        typer.Option("--smooth/--no-smooth", help="Move outliers from activations to weights."),
    ] = True
    attention_products: Annotated[
        bool | None,
        typer.Option(
            "--attention-products/--no-attention-products",
            help="The products inside attentions, too; by default for openvino, not for questions.",
            show_default=False,
        ),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            min=0,
            help="Most of the metric to lose: products stay in float until it holds.",
        ),
    ] = None
    qat: Annotated[
        int,
        typer.Option("--qat", min=0, help="Epochs of training with the rounding in place."),
    ] = 0
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=0, help="Of --qat.")] = 3e-5
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget an interrupted --qat instead of resuming it.")
    ] = False
    ranges: Annotated[
        Literal["auto", "static", "dynamic"],
        typer.Option(
            "--ranges",
            help="Of onnxruntime: calibrated, measured for each batch, or what is faster here.",
        ),
    ] = "auto"
    scales: Annotated[
        Literal["floats", "fp32"],
        typer.Option("--scales", help="Of tensorrt: fp32 is safe from overflow, and slower."),
    ] = "floats"
