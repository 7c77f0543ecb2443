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
from bertslim.store.deployment import GRAPH, Deployment, read_deployment
from bertslim.train.task import Task, load_task

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel
    from bertslim.runtime.engine import Engine
    from bertslim.train.prediction import Run, Score

Runtime = Literal["torch", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]


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
        Runtime | None,
        typer.Option(
            "--runtime",
            help="What computes the outputs; by default what the graph is for, or torch.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per call; changes the speed only.")
    ] = 32,
    device: DeviceOption = "auto",
    *,
    report: ReportOptions,
) -> None:
    """Score a checkpoint on a task's validation data.

    The 95 % interval is a percentile bootstrap over examples. What `fuse` or `quantize` made is
    scored as the graph that it is, on the runtime that it is for; everything else in fp32. With
    --runtime torch it is the weights that are scored, also of a graph.
    """
    described = load_task(task)
    checkpoint = open_checkpoint(read_source(model))
    deployment = read_deployment(checkpoint.path)
    chosen = runtime or (deployment.target if deployment else "torch")
    _refuse_what_cannot_be(deployment, chosen, device)
    with reserved_stdout():
        score = _evaluate(checkpoint, described, deployment, chosen, batch_size, device)
    precision = deployment.precision if deployment and chosen != "torch" else "fp32"
    found = {"path": str(checkpoint.path), "task": described.name}
    found |= {"runtime": chosen, "precision": precision}
    typer.echo(json.dumps({**found, **asdict(score)}) if report.json else score_table(score))


def _refuse_what_cannot_be(deployment: Deployment | None, runtime: str, device: Device) -> None:
    if device == "cuda" and runtime in ("onnxruntime", "openvino"):
        raise SettingsError(f"--device cuda: {runtime} runs on the CPU here", "leave it out")
    if deployment and runtime not in ("torch", deployment.target):
        raise SettingsError(
            f"--runtime {runtime}: this graph was made for {deployment.target}",
            f"take --runtime {deployment.target}, or torch for the weights",
        )


def score_table(score: "Score") -> str:
    """Return the metrics, the deciding one first and with its interval, in plain columns."""
    first = f"{score.metric:<16} {score.value:8.4f}   95 % in [{score.low:.4f}, {score.high:.4f}]"
    rest = [f"{n:<16} {v:8.4f}" for n, v in score.metrics.items() if n != score.metric]
    return "\n".join([first, *rest, f"{'examples':<16} {score.examples:8,}"])


def _evaluate(
    checkpoint: Checkpoint,
    task: Task,
    deployment: Deployment | None,
    runtime: Runtime,
    batch_size: int,
    device: Device,
) -> "Score":
    from bertslim.model.opening import open_model
    from bertslim.train.examples import load_tokenizer, read_examples, score_run

    model = open_model(checkpoint)
    examples = read_examples(task, "validation", model, load_tokenizer(checkpoint.path))
    if runtime == "torch":
        return score_run(_on_torch(model, device), examples, batch_size=batch_size)
    engine = _engine(checkpoint, model, deployment, runtime)
    try:
        return score_run(engine.run, examples, batch_size=batch_size)
    finally:
        engine.close()


def _on_torch(model: "SlimModel", device: Device) -> "Run":
    from bertslim.model.running import run_model
    from bertslim.train.precision import choose_device, placed

    return partial(run_model, placed(model, choose_device(device)))


def _engine(
    checkpoint: Checkpoint,
    model: "SlimModel",
    deployment: Deployment | None,
    runtime: Runtime,
) -> "Engine":
    """Build the graph that lies in the checkpoint, or one in fp32."""
    from bertslim.commands.forms import form_for
    from bertslim.graph.emit import emit
    from bertslim.runtime.engine import EngineSettings, Source, build
    from bertslim.runtime.machine import available_cores

    precision = deployment.precision if deployment else "fp32"
    stored = (checkpoint.path / GRAPH).read_bytes() if deployment else None
    graph = stored or emit(model, form_for(runtime, precision)).SerializeToString()
    source = Source(model, graph=lambda *_: graph)
    return build(runtime, precision, source, EngineSettings(threads=available_cores()))
