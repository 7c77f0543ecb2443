"""From a model and a form to a deployment: written, run once, looked into, described."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bertslim.commands.forms import GPU_TARGETS
from bertslim.commands.graphs import say_who_decodes
from bertslim.errors import CheckpointError, QualityError
from bertslim.store.deployment import GRAPH, Deployment, Precision, Target, write_deployment

if TYPE_CHECKING:
    from bertslim.graph.emit import Written
    from bertslim.graph.form import Form
    from bertslim.model.slim import SlimModel
    from bertslim.runtime.agreement import Agreement
    from bertslim.runtime.engine import Engine
    from bertslim.runtime.kernels import Kernel
    from bertslim.train.examples import Examples
    from bertslim.train.prediction import Score

LAYERS = "layers.txt"
"""The layers of the engine that TensorRT built, in its own words."""

SHAPE = (8, 128)
"""Batch and length that a graph is tried and looked at with; it is free in the graph itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a graph is made for."""

    target: str
    precision: str
    sm: str
    """Compute capability of the GPU that TensorRT builds for, such as "75"; empty elsewhere."""

    def settings(self) -> dict[str, str]:
        """Return what a step is known by."""
        return {name: value for name, value in asdict(self).items() if value}


def deploy(
    model: "SlimModel",
    form: "Form",
    place: Place,
    directory: Path,
    details: Mapping[str, Any],
) -> Deployment:
    """Write a model's graph and its description into a directory.

    Raises:
        CheckpointError: If the model itself computes what is not a finite number.
        QualityError: If the graph computes something else than the model.
        UnavailableError: If the target refuses the graph.
    """
    from bertslim.graph.emit import write

    written = write(model, form)
    graph = written.proto.SerializeToString()
    shape = fitting_shape(model)
    view = _view(graph, place, shape)
    agreement = _agreement(model, graph, place, shape)
    if not agreement.holds or agreement.difference is None:
        raise QualityError(
            f"what {place.target} computes is wrong: {agreement.fault}", _cure(place)
        )
    deployment = Deployment(
        target=cast("Target", place.target),
        precision=cast("Precision", place.precision),
        fusions=_counts(written, form, view.kernels),
        difference=agreement.difference,
        details={
            "compared on": "onnxruntime" if place.target in GPU_TARGETS else place.target,
            **view.details,
            **details,
        },
    )
    (directory / GRAPH).write_bytes(graph)
    for name, text in view.files.items():
        (directory / name).write_text(text, encoding="utf-8")
    write_deployment(directory, deployment)
    say_who_decodes(model)
    return deployment


def refuse_missing(place: Place) -> None:
    """Refuse a target that nothing can be made for on this machine, before there is work.

    Raises:
        UnavailableError, SettingsError: See `require` and `check_target`.
    """
    from bertslim.runtime.engine import require
    from bertslim.runtime.tensorrt.building import check_target

    require(place.target)
    if place.target in GPU_TARGETS:
        check_target(place.target, place.sm)


def fitting_shape(model: "SlimModel") -> tuple[int, int]:
    """Return the usual shape, or a shorter one for a model of few positions."""
    return SHAPE[0], min(SHAPE[1], model.config.positions or SHAPE[1])


def engine_for(model: "SlimModel", graph: bytes, place: Place) -> "Engine":
    """Make a graph ready to run here: on its own runtime, or on ONNX Runtime for want of a GPU."""
    from bertslim.runtime.engine import EngineSettings, Source, build
    from bertslim.runtime.machine import available_cores

    source = Source(model, graph=lambda *_: graph)
    settings = EngineSettings(threads=available_cores())
    if place.target in GPU_TARGETS:
        return build("onnxruntime", "fp32", source, settings)
    return build(place.target, place.precision, source, settings)


def engine_score(engine: "Engine", examples: "Examples", **options: int) -> "Score":
    """Score an engine, with the options of `score_run`, and close it."""
    from bertslim.train.examples import score_run

    try:
        return score_run(engine.run, examples, **options)
    finally:
        engine.close()


def deployment_text(deployment: Deployment) -> str:
    """Say what became of every kind of fusion, and how far the outputs are from PyTorch's."""
    computed = deployment.details["compared on"]
    largest = f"largest difference from PyTorch: {deployment.difference:.1e}, on {computed}"
    return "\n".join([*_fusion_lines(deployment), largest])


def _fusion_lines(deployment: Deployment) -> list[str]:
    """Say, a line for each kind, how many fusions happened, and what became of the others."""
    width = max((len(count.kind) for count in deployment.fusions), default=0)
    lines = []
    for count in deployment.fusions:
        lines.append(f"{count.kind.ljust(width)}  {count.happened} of {count.expected}")
        places: dict[str, list[str]] = {}
        for path, reason in count.refused.items():
            places.setdefault(reason, []).append(path)
        lines += [f"  {_few(paths)}: {reason}" for reason, paths in places.items()]
    return lines


def deployment_report(deployment: Deployment) -> dict[str, Any]:
    """Return what the step's record says of a deployment."""
    counts = {c.kind: {"happened": c.happened, "expected": c.expected} for c in deployment.fusions}
    return {
        "target": deployment.target,
        "precision": deployment.precision,
        "difference": deployment.difference,
        "fusions": counts,
    }


def _few(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


@dataclass(frozen=True, slots=True)
class _View:
    """What a runtime makes of a graph."""

    kernels: "Sequence[Kernel]"
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def _view(graph: bytes, place: Place, shape: tuple[int, int]) -> _View:
    """Ask the target what it runs; TensorRT is asked when it builds, which needs no GPU."""
    if place.target in GPU_TARGETS:
        return _built_view(graph, place, shape)
    from bertslim.runtime.engine import EngineSettings, kernels
    from bertslim.runtime.machine import available_cores

    settings = EngineSettings(available_cores())
    return _View(kernels(place.target, place.precision, graph, settings))


def _built_view(graph: bytes, place: Place, shape: tuple[int, int]) -> _View:
    from bertslim.runtime.tensorrt.building import build_ahead
    from bertslim.runtime.tensorrt.findings import findings
    from bertslim.runtime.tensorrt.layers import kernels_of

    built = build_ahead(graph, shape, place.sm, place.target)
    details = {
        "sm": place.sm,
        "engine bytes": len(built.plan),
        "build seconds": round(built.seconds, 2),
        "findings": [asdict(finding) for finding in findings(graph, built.layers)],
        "warnings": list(built.warnings),
    }
    return _View(kernels_of(built.layers), details, {LAYERS: built.dump})


def _agreement(
    model: "SlimModel", graph: bytes, place: Place, shape: tuple[int, int]
) -> "Agreement":
    from bertslim.model.running import run_model
    from bertslim.runtime.agreement import all_finite, compared, padded_batch

    batch = padded_batch(model.config, *shape, seed=0)
    expected = run_model(model, batch)
    if not all_finite(expected, batch):
        raise CheckpointError(
            "the model's own outputs are not finite numbers",
            "its weights are damaged: bertslim evaluate shows how good it still is",
        )
    engine = engine_for(model, graph, place)
    try:
        return compared(place.precision, engine.run(batch), expected, batch)
    finally:
        engine.close()


def _counts(written: "Written", form: "Form", kernels: "Sequence[Kernel]") -> Any:
    from bertslim.runtime.kernels import count_fusions, count_int8

    counts = count_fusions(written.fusions, kernels)
    if form.quantization is None:
        return counts
    inside = {path: written.gemms[path] for path in form.quantization.inputs}
    return (*counts, count_int8(inside, kernels))


def _cure(place: Place) -> str:
    if place.precision == "int8":
        return "give calibration data like the real one, or more of it; try --max-drop or --smooth"
    return "this is a bug: please report it with the checkpoint's config.json"
