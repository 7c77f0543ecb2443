"""The options of `quantize`, by what they are about."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.forms import GPU_TARGETS
from bertslim.commands.options import idle_faults
from bertslim.errors import SettingsError


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


ABOUT_INT8 = (
    *("calibration", "percentile", "smooth", "attention_products"),
    *("max_drop", "qat", "learning_rate", "ranges", "scales"),
)
"""Options that say nothing of other precisions."""


def idle_options(
    precision: str, calibration: CalibrationOptions, int8: Int8Options, given: Collection[str]
) -> list[str]:
    """Say of the options that are given and play no part what they are for."""
    idle = dict[str, str]()
    if calibration.calibration != "percentile":
        idle["percentile"] = "is for --calibration percentile"
    if not int8.qat:
        idle["learning_rate"] = "is of --qat"
    if precision != "int8":
        idle |= dict.fromkeys(ABOUT_INT8, "is about int8")
    if precision == "bf16":
        idle |= dict.fromkeys(("text", "examples"), "is for calibration, and bf16 needs none")
    flagged = {name: f"{_flag(name, int8)} {said}" for name, said in idle.items()}
    return idle_faults(flagged, given)


def _flag(name: str, options: CalibrationOptions | Int8Options) -> str:
    """Write an option as it was typed."""
    off = "no-" if getattr(options, name, None) is False else ""
    return f"--{off}{name.replace('_', '-')}"


FOR_RECURRENT = ("ranges", "scales", "learning_rate", "restart")
"""Options that mean something without calibration, or nothing by themselves."""


def refuse_for_recurrent(origin: str, *chosen: CalibrationOptions | Int8Options) -> None:
    """Refuse what is done to transformers alone.

    Raises:
        SettingsError: Naming all of it.
    """
    given = [
        _flag(field.name, options)
        for options in chosen
        for field in fields(options)
        if field.name not in FOR_RECURRENT and getattr(options, field.name) != field.default
    ]
    if given:
        raise SettingsError(
            f"{origin} is a recurrent model, and {', '.join(given)} is for transformers alone",
            "leave it out; bertslim bench --max-drop holds int8 to a bound",
        )


def recurrent_settings(precision: str, target: str, int8: Int8Options) -> dict[str, Any]:
    """Keep the options that play a part: nothing is calibrated."""
    ranges = {"ranges": int8.ranges} if target == "onnxruntime" else {}
    scales = {"scales": int8.scales} if target in GPU_TARGETS else {}
    return {**ranges, **scales} if precision == "int8" else {}
