"""`bertslim evaluate`."""

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bertslim.commands.options import (
    Device,
    DeviceOption,
    Model,
    ReportOptions,
    TaskFile,
    command,
)
from bertslim.commands.step import read_source
from bertslim.console import reserved_stdout
from bertslim.errors import SettingsError
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.task import Task, load_task

if TYPE_CHECKING:
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.prediction import Run, Score

Runtime = Literal["torch", "onnxruntime", "openvino"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "evaluate",
        examples="""
        bertslim evaluate models/sst2 --task sst2.toml
        bertslim export models/sst2 --format transformers | bertslim evaluate - --task sst2.toml
        bertslim evaluate models/sst2 --task sst2.toml --runtime openvino --json
        """,
    )(evaluate)


def evaluate(
    model: Model,
    task: TaskFile,
    runtime: Annotated[
        Runtime, typer.Option("--runtime", help="What computes the outputs.")
    ] = "torch",
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per call; changes the speed only.")
    ] = 32,
    device: DeviceOption = "auto",
    *,
    report: ReportOptions,
) -> None:
    """Score a checkpoint on a task's validation data.

    The 95 % interval is a percentile bootstrap over examples. Every runtime computes in fp32.
    """
    if device == "cuda" and runtime != "torch":
        raise SettingsError(f"--device cuda: {runtime} runs on the CPU here", "leave it out")
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    with reserved_stdout():
        score = _evaluate(checkpoint, described, runtime, batch_size, device)
    found = {"path": str(checkpoint.path), "task": described.name, "runtime": runtime}
    typer.echo(json.dumps({**found, **asdict(score)}) if report.json else score_table(score))


def score_table(score: "Score") -> str:
    """Return the metrics, the deciding one first and with its interval, in plain columns."""
    first = f"{score.metric:<16} {score.value:8.4f}   95 % in [{score.low:.4f}, {score.high:.4f}]"
    rest = [f"{n:<16} {v:8.4f}" for n, v in score.metrics.items() if n != score.metric]
    return "\n".join([first, *rest, f"{'examples':<16} {score.examples:8,}"])


def _evaluate(
    checkpoint: Checkpoint, task: Task, runtime: Runtime, batch_size: int, device: Device
) -> "Score":
    from bertslim.model.loading import load_model
    from bertslim.train.examples import load_tokenizer, read_examples, score_run

    model = load_model(checkpoint)
    examples = read_examples(task, "validation", model, load_tokenizer(checkpoint.path))
    return score_run(_run(model, runtime, device), examples, batch_size=batch_size)


def _run(model: "SlimBertPreTrainedModel", runtime: Runtime, device: Device) -> "Run":
    if runtime == "torch":
        from bertslim.model.running import run_model
        from bertslim.train.precision import choose_device, placed

        return partial(run_model, placed(model, choose_device(device)))
    from bertslim.graph.emit import emit
    from bertslim.runtime.engine import EngineSettings, Source, build
    from bertslim.runtime.machine import available_cores

    source = Source(model, graph=lambda *_: emit(model).SerializeToString())
    engine = build(runtime, "fp32", source, EngineSettings(threads=available_cores()))
    return engine.run
