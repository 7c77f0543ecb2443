"""`bertslim export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bertslim.commands.graphs import say_who_decodes
from bertslim.commands.options import Model, StepOptions, command
from bertslim.commands.step import Step, read_source, run_step
from bertslim.console import note
from bertslim.store.checkpoint import TASKS, Checkpoint, open_checkpoint
from bertslim.store.deployment import GRAPH

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel

Format = Literal["onnx", "transformers"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "export",
        examples="""
        bertslim export models/sst2-heads40 --format onnx
        bertslim export models/sst2-heads40 --format transformers --output models/sst2-twin
        bertslim export models/from-2019 --format transformers --convert-pickle
        """,
    )(export)


def export(
    context: typer.Context,
    model: Model,
    form: Annotated[Format, typer.Option("--format", help="What to write.", show_default=False)],
    convert_pickle: Annotated[
        bool,
        typer.Option(
            "--convert-pickle",
            help="Read pickled weights (tensors only; other content is refused).",
        ),
    ] = False,
    *,
    step: StepOptions,
) -> None:
    """Write an ONNX graph or a stock transformers model.

    `onnx` adds model.onnx: fp32, standard operators, batch and length free, equal to PyTorch within
    rounding. `transformers` writes a model that stock classes open: missing heads and FFN units
    come back as zeros, so that the outputs are the same and nothing is faster. Of a recurrent model
    there is no such twin. The graph of a tagger with a CRF ends in the logits, as every other.
    """
    checkpoint = open_checkpoint(read_source(model), allow_pickle=convert_pickle)
    wanted = Step(
        command="export",
        settings={"format": form},
        inputs={"model": checkpoint},
        suffix=form,
    )

    def work(directory: Path, _: Path) -> dict[str, Any]:
        return _export(checkpoint, form, directory)

    run_step(context, wanted, step, work)


def _export(checkpoint: Checkpoint, form: Format, directory: Path) -> dict[str, Any]:
    from bertslim.model.loading import load_model, save_model, zero_padded_twin
    from bertslim.model.opening import open_model
    from bertslim.model.shapes import parameter_counts

    if form == "transformers":
        model: SlimModel = zero_padded_twin(load_model(checkpoint))
    else:
        model = open_model(checkpoint)
    save_model(model, directory, tokenizer_from=checkpoint.path)
    report: dict[str, Any] = {"parameters": parameter_counts(model).total}
    if form == "onnx":
        from bertslim.graph.emit import emit

        graph = emit(model)
        (directory / GRAPH).write_bytes(graph.SerializeToString())
        say_who_decodes(model)
        if checkpoint.tasks:
            note(f"this is the encoder alone: whole models lie in {checkpoint.origin}/{TASKS}")
        report |= {"nodes": len(graph.graph.node), "opset": graph.opset_import[0].version}
    return report
