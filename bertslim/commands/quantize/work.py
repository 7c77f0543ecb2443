"""What `quantize` does: reads the data, lets the method of a precision work, deploys, scores."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.deploying import (
    Place,
    deploy,
    deployment_report,
    deployment_text,
    engine_for,
    engine_score,
    refuse_missing,
)
from bertslim.commands.forms import GPU_TARGETS, form_for
from bertslim.commands.quantize.int8 import int8_form, int8_made
from bertslim.commands.quantize.job import Job, Made, Material, material_for
from bertslim.commands.quantize.recurrent import recurrent_made
from bertslim.console import note
from bertslim.errors import UnavailableError, fault_list
from bertslim.store.deployment import GRAPH

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel
    from bertslim.train.examples import Examples
    from bertslim.train.prediction import Score

TURING = "75"


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Quantize, write, score; return the step's report.

    Raises:
        QualityError: If the metric cannot be held within the drop that was allowed.
    """
    from bertslim.model.opening import open_model
    from bertslim.model.saving import save_model
    from bertslim.train.precision import choose_device, placed

    refuse_missing(job.place)
    model: SlimModel = placed(open_model(job.checkpoint), choose_device(job.device))
    reported = _reported(job, model)
    before = _score_of_model(model, reported)
    made = _made(job, model, resume)
    deployment = deploy(made.model, made.form, job.place, directory, made.details)
    save_model(made.model, directory, tokenizer_from=job.checkpoint.path)
    note(deployment_text(deployment))
    graph = (directory / GRAPH).read_bytes()
    after = _score_of_graph(made.model, graph, job.place, reported)
    if before and after:
        note(f"{before.metric}: {before.value:.4f} in float, {after.value:.4f} as {_kind(job)}")
    return {
        **deployment_report(deployment),
        "bytes": len(graph),
        "before": asdict(before) if before else None,
        "after": asdict(after) if after else None,
    }


def _reported(job: Job, model: "SlimModel") -> "Examples | None":
    """Return what is reported on, and nothing else."""
    from bertslim.train.examples import load_tokenizer, read_examples

    if job.task is None:
        return None
    return read_examples(job.task, "validation", model, load_tokenizer(job.checkpoint.path))


def _made(job: Job, model: "SlimModel", resume: Path) -> Made:
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    if isinstance(model, SlimLstmPreTrainedModel):
        return recurrent_made(job, model)
    return MAKERS[job.place.precision](job, material_for(job, model), resume)


def _half(job: Job, material: Material, _: Path) -> Made:
    """fp16: what its range cannot hold stays in fp32."""
    islands = _islands(job, material)
    form = form_for(job.place.target, "fp16", islands=frozenset(islands))
    return Made(material.model, form, {"islands": islands})


def _brain(job: Job, material: Material, _: Path) -> Made:
    """bf16: it has the range of fp32, and the runtime rounds by itself."""
    return Made(material.model, form_for(job.place.target, "bf16"))


def _int8(job: Job, material: Material, resume: Path) -> Made:
    """int8: calibrated, perhaps trained, perhaps with exceptions."""
    islands = _islands(job, material) if job.place.target in GPU_TARGETS else {}
    made = int8_made(job, material, islands, resume)
    return Made(made.model, int8_form(made, job), made.details)


MAKERS: Mapping[str, Callable[[Job, Material, Path], Made]] = {
    "fp16": _half,
    "bf16": _brain,
    "int8": _int8,
}


def _islands(job: Job, material: Material) -> dict[str, str]:
    """Find what fp16 cannot hold.

    Raises:
        UnavailableError: If fp32 inside some modules does not help, or the GPU has none for them.
    """
    from bertslim.methods.quantize.half import half_islands

    if material.rows is None:
        return {}
    report = half_islands(material.model, material.rows)
    if report.beyond:
        faults = [f"{path}: {reason}" for path, reason in report.beyond.items()]
        raise UnavailableError(
            fault_list("fp16 cannot hold what this model computes", faults), "keep it in fp32"
        )
    if report.products and job.place.sm == TURING:
        raise UnavailableError(
            fault_list("Turing has no fp32 for what fp16 cannot hold", report.products),
            "build for --sm 80 or later, or keep the model in fp32 with full TensorRT",
        )
    for path, reason in report.islands.items():
        note(f"{path} stays in fp32: {reason}")
    return dict(report.islands)


def _score_of_model(model: "SlimModel", reported: "Examples | None") -> "Score | None":
    from bertslim.train.examples import score_model

    return score_model(model, reported) if reported else None


def _score_of_graph(
    model: "SlimModel", graph: bytes, place: Place, reported: "Examples | None"
) -> "Score | None":
    return engine_score(engine_for(model, graph, place), reported) if reported else None


def _kind(job: Job) -> str:
    where = " (computed by ONNX Runtime)" if job.place.target in GPU_TARGETS else ""
    return f"{job.place.precision} for {job.place.target}{where}"
