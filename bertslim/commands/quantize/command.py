"""`bertslim quantize`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.deploying import Place
from bertslim.commands.forms import (
    GPU_TARGETS,
    PRECISIONS,
    Sm,
    TargetName,
    chosen_sm,
    usual_attention,
)
from bertslim.commands.options import (
    DeviceOption,
    Model,
    OptionalTaskFile,
    Seed,
    StepOptions,
    command,
    given_options,
    refuse_options,
)
from bertslim.commands.quantize.options import (
    CalibrationOptions,
    Int8Options,
    idle_options,
    recurrent_settings,
    refuse_for_recurrent,
)
from bertslim.commands.step import Step, read_source, run_step
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.digest import file_digest
from bertslim.train.task import Task, load_task, task_digest


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "quantize",
        examples="""
        bertslim quantize models/sst2 --precision int8 --target openvino --task sst2.toml
        bertslim quantize models/sst2 --precision int8 --target onnxruntime --text reviews.txt
        bertslim quantize models/sst2 --precision fp16 --target tensorrt --task sst2.toml
        bertslim quantize models/sst2 --precision int8 --target openvino --task sst2.toml \\
          --max-drop 0.005 | bertslim bench models/sst2 - --task sst2.toml --min-speedup 2
        """,
    )(quantize)


def quantize(
    context: typer.Context,
    model: Model,
    precision: Annotated[
        Literal["fp16", "bf16", "int8"],
        typer.Option("--precision", help="What the graph computes in.", show_default=False),
    ],
    target: TargetName,
    task: OptionalTaskFile = None,
    sm: Sm = "",
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    calibration: CalibrationOptions,
    int8: Int8Options,
    step: StepOptions,
) -> None:
    """Write a graph in fp16, bf16 or int8, in the form that a runtime runs best.

    int8 needs text like the text that the model will read: ranges of activations are calibrated on
    training rows of a task, or on a file of texts; padding does not count. Weights have a scale
    for every output. What int8 harms can be smoothed, left in float until --max-drop holds on a
    slice of the training data, or trained again with the rounding in place (--qat), the float model
    teaching.

    fp16 keeps softmax, mask and the statistics of LayerNorm in fp32, and whatever the calibration
    rows carry beyond fp16's range. With a task the metric is reported before and after.

    A recurrent model needs no text: the states of an LSTM lie between -1 and 1. int8 are its table
    of words and its projections, and on ONNX Runtime the LSTM itself where that is faster here.
    """
    described = load_task(task) if task else None
    idle = idle_options(precision, calibration, int8, given_options(context))
    _refuse_what_cannot_be(precision, target, described, int8, idle)
    checkpoint = open_checkpoint(read_source(model))
    if checkpoint.is_recurrent:
        refuse_for_recurrent(checkpoint.origin, calibration, int8)
        chosen = recurrent_settings(precision, target, int8)
    else:
        _refuse_without_text(precision, described, calibration, int8)
        int8 = _settled(int8, target, checkpoint)
        chosen = _settings(precision, target, calibration, int8)
    place = Place(target, precision, chosen_sm(target, precision, sm))
    wanted = Step(
        command="quantize",
        settings={**place.settings(), "seed": seed, **chosen},
        inputs={"model": checkpoint},
        suffix=f"{precision}-{target}",
        data=_data(described, calibration.text),
        data_sources=_sources(task, calibration.text),
        method_version=4,
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        from bertslim.commands.quantize.job import Job
        from bertslim.commands.quantize.work import run

        job = Job(checkpoint, place, described, calibration, int8, seed, device)
        return run(job, directory, resume)

    run_step(context, wanted, step, work, restart=int8.restart)


def _settled(int8: Int8Options, target: str, checkpoint: Checkpoint) -> Int8Options:
    """Decide what was left open."""
    if int8.attention_products is not None:
        return int8
    return replace(int8, attention_products=usual_attention(target, checkpoint.architecture))


def _settings(
    precision: str, target: str, calibration: CalibrationOptions, int8: Int8Options
) -> dict[str, Any]:
    """Keep the options that play a part: the same result has the same request."""
    if precision == "bf16":
        return {}
    if precision == "fp16":
        return {"examples": calibration.examples}
    chosen = {**asdict(calibration), **asdict(int8)}
    del chosen["text"], chosen["restart"]
    if calibration.calibration != "percentile":
        del chosen["percentile"]
    if not int8.qat:
        del chosen["learning_rate"]
    for name, users in (("ranges", ("onnxruntime",)), ("scales", GPU_TARGETS)):
        if target not in users:
            del chosen[name]
    return chosen


def _data(task: Task | None, text: Path | None) -> dict[str, str]:
    found = {"task": task_digest(task, ("train", "validation"))} if task else {}
    return found | ({"text": file_digest(text)} if text else {})


def _sources(task: Path | None, text: Path | None) -> dict[str, str]:
    return {role: str(path) for role, path in (("task", task), ("text", text)) if path}


def _refuse_without_text(
    precision: str, task: Task | None, calibration: CalibrationOptions, int8: Int8Options
) -> None:
    """Refuse a transformer's ranges without rows to see them on."""
    needs_text = precision == "fp16" or (precision == "int8" and int8.ranges != "dynamic")
    if needs_text and not task and not calibration.text:
        raise SettingsError(
            f"{precision} depends on what the model reads: give --task or --text",
            "recurrent models alone do without",
        )


def _refuse_what_cannot_be(
    precision: str,
    target: str,
    task: Task | None,
    int8: Int8Options,
    idle: Sequence[str],
) -> None:
    faults = [*idle]
    if precision not in PRECISIONS[target]:
        known = ", ".join(p for p in PRECISIONS[target] if p != "fp32")
        faults.append(f"--target {target} has no {precision}; it has {known}")
    for flag, wish in (("--max-drop", int8.max_drop is not None), ("--qat", int8.qat > 0)):
        if wish and not task:
            faults.append(f"{flag} needs labelled data: give --task")
    if int8.ranges != "auto" and target != "onnxruntime":
        faults.append(f"--ranges {int8.ranges} is for onnxruntime; {target} knows static ranges")
    if int8.scales != "floats" and target not in GPU_TARGETS:
        faults.append(f"--scales {int8.scales} is for tensorrt")
    if int8.attention_products and target == "onnxruntime":
        faults.append("--attention-products: onnxruntime has no int8 kernel for them")
    refuse_options(faults)
