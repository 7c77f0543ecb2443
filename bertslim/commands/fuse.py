"""`bertslim fuse`."""

from pathlib import Path
from typing import Any

import typer

from bertslim.commands.deploying import (
    Place,
    deploy,
    deployment_report,
    deployment_text,
    refuse_missing,
)
from bertslim.commands.forms import Sm, TargetName, chosen_sm, form_for
from bertslim.commands.options import Model, StepOptions, command
from bertslim.commands.step import Step, read_source, run_step
from bertslim.console import note
from bertslim.store.checkpoint import Checkpoint, open_checkpoint


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "fuse",
        examples="""
        bertslim fuse models/sst2 --target onnxruntime
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4 |
          bertslim fuse - --target openvino | bertslim bench models/sst2 -
        """,
    )(fuse)


def fuse(
    context: typer.Context,
    model: Model,
    target: TargetName,
    sm: Sm = "",
    *,
    step: StepOptions,
) -> None:
    """Write the fp32 graph that a runtime runs best, and count what it fuses.

    ONNX Runtime gets its own fused operators. OpenVINO and TensorRT get plain ones, which they fuse
    themselves, better than a graph could. What they made of it is read from their own view of the
    graph, and every fusion that did not happen is named with its reason. The graph's outputs are
    compared with PyTorch's.

    For TensorRT-RTX the engine is built on the CPU, for the GPU that --sm names; nothing is timed.
    """
    checkpoint = open_checkpoint(read_source(model))
    place = Place(target, "fp32", chosen_sm(target, "fp32", sm))
    wanted = Step(
        command="fuse",
        settings=place.settings(),
        inputs={"model": checkpoint},
        suffix=target,
    )

    def work(directory: Path, _: Path) -> dict[str, Any]:
        return _fuse(checkpoint, place, directory)

    run_step(context, wanted, step, work)


def _fuse(checkpoint: Checkpoint, place: Place, directory: Path) -> dict[str, Any]:
    from bertslim.model.loading import save_model
    from bertslim.model.opening import open_model

    refuse_missing(place)
    model = open_model(checkpoint)
    deployment = deploy(model, form_for(place.target, "fp32"), place, directory, {})
    save_model(model, directory, tokenizer_from=checkpoint.path)
    note(deployment_text(deployment))
    return deployment_report(deployment)
