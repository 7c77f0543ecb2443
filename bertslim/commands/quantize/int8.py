"""How `quantize` comes to an int8 graph: trained, calibrated, spared, static or dynamic."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bertslim.commands.deploying import engine_for, engine_score, fitting_shape
from bertslim.commands.forms import GPU_TARGETS, form_for
from bertslim.commands.quantize.job import Job, Material, method_settings
from bertslim.commands.quantize.training import trained_in_int8
from bertslim.console import note, warn

if TYPE_CHECKING:
    from bertslim.graph.form import Form
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.model.quantization import Quantization
    from bertslim.model.slim import SlimModel
    from bertslim.runtime.engine import Engine
    from bertslim.train.examples import Examples

Model = TypeVar("Model", bound="SlimModel")

FEWEST_ROWS = 16
"""Fewer than that say little about what other rows carry."""
ROWS_FOR_SENSITIVITY = 64
"""Rows that each product is tried on alone."""
SECONDS_PER_FORM = 3.0
"""Time that static and dynamic ranges are each given to show how fast they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8(Generic[Model]):
    """An int8 model before it is written."""

    model: Model
    quantization: "Quantization"
    dynamic: bool = False
    """Whether ranges are measured at run time; those of the quantization are not used then."""
    islands: Mapping[str, str] = field(default_factory=dict)
    """Modules that stay in fp32 in an fp16 graph, each with its reason."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For `deploy.json`."""


def int8_made(
    job: Job, material: Material, islands: Mapping[str, str], resume: Path
) -> "Int8[SlimBertPreTrainedModel]":
    """Find all that an int8 graph needs.

    Args:
        job: What is asked for.
        material: What there is.
        islands: Of an fp16 graph, the modules that stay in fp32, each with its reason.
        resume: Where interrupted training is kept.

    Raises:
        QualityError: If the metric cannot be held within --max-drop.
    """
    advise(job)
    model, training = trained_in_int8(job, material, resume)
    made = settled(replace(_calibrated(job, model, material), islands=islands), job)
    if job.int8.max_drop is not None:
        made = _spared(made, job, material)
    return replace(made, details={**training, **made.details, **described(made)})


def advise(job: Job) -> None:
    """Warn where this machine's CPU has no instructions for int8."""
    from bertslim.runtime.machine import int8_advice

    if job.place.target not in GPU_TARGETS and (advice := int8_advice()):
        warn(advice)


def settled(made: Int8[Model], job: Job) -> Int8[Model]:
    """Choose between static and dynamic ranges, where that was left open."""
    if job.place.target == "onnxruntime" and job.int8.ranges == "auto":
        return _faster(made, job)
    return made


def int8_form(made: Int8[Model], job: Job) -> "Form":
    """Return the form that the target runs best."""
    return form_for(
        job.place.target,
        "int8",
        made.quantization,
        dynamic=made.dynamic,
        islands=frozenset(made.islands),
        scales=job.int8.scales,
    )


def _calibrated(
    job: Job, model: "SlimBertPreTrainedModel", material: Material
) -> "Int8[SlimBertPreTrainedModel]":
    """Measure the ranges; a dynamic graph needs none, and therefore no data."""
    from bertslim.methods.quantize.calibrate import quantize, quantizes_table
    from bertslim.methods.quantize.observe import linear_layers
    from bertslim.model.quantization import Quantization, Range

    dynamic = job.int8.ranges == "dynamic"
    if material.rows is None:
        unknown = dict.fromkeys(linear_layers(model), Range(-1, 1))
        table = quantizes_table(model)
        return Int8(model, Quantization(unknown, embedding=table), dynamic)
    quantization, report = quantize(model, method_settings(job), material.rows)
    if report.examples < FEWEST_ROWS and not dynamic:
        few = "one row" if report.examples == 1 else f"{report.examples} rows"
        warn(f"ranges of {few} may clip what others carry; {FEWEST_ROWS} rows are the least")
    seen = {"method": job.calibration.calibration, "examples": report.examples}
    return Int8(model, quantization, dynamic, details={"calibration": seen})


def _spared(
    made: "Int8[SlimBertPreTrainedModel]", job: Job, material: Material
) -> "Int8[SlimBertPreTrainedModel]":
    """Leave the fewest products in float that --max-drop allows on the tuning slice."""
    from bertslim.methods.quantize.exceptions import Bound, exceptions_for
    from bertslim.methods.quantize.sensitivity import sensitivities
    from bertslim.train.examples import selection_score

    tuning, rows, scheme = material.tuning, material.rows, method_settings(job).scheme
    if tuning is None or rows is None or job.int8.max_drop is None:
        return made
    few = rows.encoded.select(range(min(ROWS_FOR_SENSITIVITY, len(rows.encoded))))
    order = sensitivities(made.model, made.quantization, scheme, replace(rows, encoded=few))
    baseline = selection_score(material.model, tuning).value
    bound = Bound(partial(_tuning_score, made, job, tuning), baseline, job.int8.max_drop)
    found, score = exceptions_for(made.model, made.quantization, order, bound)
    for path, reason in found.exceptions.items():
        note(f"{path} stays in float: {reason}")
    slice_ = {"rows": len(tuning.data), "float": baseline, "int8": score}
    sensitivity = {found.path: found.error for found in order}
    details = {**made.details, "tuning slice": slice_, "sensitivity": sensitivity}
    return replace(made, quantization=found, details=details)


def _tuning_score(
    made: Int8[Model], job: Job, tuning: "Examples", quantization: "Quantization"
) -> float:
    """Score the engine that a quantization makes here: a simulation's numbers are not all of it."""
    engine = _engine(replace(made, quantization=quantization), job)
    return engine_score(engine, tuning, resamples=0).value


def _faster(made: Int8[Model], job: Job) -> Int8[Model]:
    """Measure static against dynamic ranges on this machine, and take what is faster."""
    from bertslim.runtime.agreement import full_batch
    from bertslim.runtime.timing import Budget, time_rounds

    kinds = {"static": False, "dynamic": True}
    engines = {name: _engine(replace(made, dynamic=kind), job) for name, kind in kinds.items()}
    batch = full_batch(made.model.config, *fitting_shape(made.model), seed=0)
    runs = {name: partial(engine.run, batch) for name, engine in engines.items()}
    times = time_rounds(runs, Budget(SECONDS_PER_FORM, warm_up=2, least_rounds=5))
    for engine in engines.values():
        engine.close()
    milliseconds = {name: round(median(found), 2) for name, found in times.items()}
    fastest = min(milliseconds, key=milliseconds.__getitem__)
    said = ", ".join(f"{name} {found} ms" for name, found in milliseconds.items())
    note(f"{fastest} ranges are faster on this machine: {said}")
    details = {**made.details, "milliseconds": milliseconds}
    return replace(made, dynamic=kinds[fastest], details=details)


def _engine(made: Int8[Model], job: Job) -> "Engine":
    from bertslim.graph.emit import emit

    graph = emit(made.model, int8_form(made, job)).SerializeToString()
    return engine_for(made.model, graph, job.place)


def described(made: Int8[Model]) -> dict[str, Any]:
    """Return what `deploy.json` says of ranges, factors and exceptions."""
    q = made.quantization
    ranges = {} if made.dynamic else q.inputs
    return {
        "ranges": "dynamic" if made.dynamic else "static",
        "inputs": {path: asdict(found) for path, found in ranges.items()},
        "products": {path: asdict(found) for path, found in q.products.items()},
        "smoothed": {path: max(s) / min(s) for path, s in q.smoothing.items()},
        "exceptions": dict(q.exceptions),
        "islands": dict(made.islands),
        "embedding": "int8" if q.embedding else "float",
    }
