"""How `quantize` comes to an int8 graph: trained, calibrated, spared, static or dynamic."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bertslim.commands.deploying import engine_for, fitting_shape
from bertslim.commands.finetune import SECONDS_BETWEEN_SAVES
from bertslim.commands.forms import GPU_TARGETS, form_for, usual_int8
from bertslim.commands.quantize_job import Job, Material
from bertslim.console import note, warn

if TYPE_CHECKING:
    from bertslim.methods.quantize.calibrate import Quantize
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.model.quantization import Quantization
    from bertslim.train.settings import TrainSettings

ROWS_FOR_SENSITIVITY = 64
"""Rows that each product is tried on alone."""
SECONDS_PER_FORM = 3.0
"""Time that static and dynamic ranges are each given to show how fast they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8:
    """An int8 model before it is written."""

    model: "SlimBertPreTrainedModel"
    quantization: "Quantization"
    dynamic: bool = False
    """Whether ranges are measured at run time; those of the quantization are not used then."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For `deploy.json`."""


def int8_made(job: Job, material: Material, resume: Path) -> Int8:
    """Find all that an int8 graph needs.

    Raises:
        QualityError: If the metric cannot be held within --max-drop.
    """
    from bertslim.runtime.machine import int8_advice

    if job.place.target not in GPU_TARGETS and (advice := int8_advice()):
        warn(advice)
    model, trained = _trained(job, material, resume)
    made = _calibrated(job, model, material)
    if job.int8.max_drop is not None:
        made = _spared(made, job, material)
    if job.place.target == "onnxruntime" and job.int8.ranges == "auto":
        made = _faster(made, job)
    return replace(made, details={**trained, **made.details, **_described(made)})


def method_settings(job: Job) -> "Quantize":
    """Turn the options into the method's settings."""
    from bertslim.methods.quantize.thresholds import Calibration

    usual, products = usual_int8(job.place.target), job.int8.attention_products
    return replace(
        usual,
        calibration=Calibration(job.calibration.calibration, job.calibration.percentile),
        products=usual.products if products is None else products,
        smooth=job.int8.smooth,
    )


def _calibrated(job: Job, model: "SlimBertPreTrainedModel", material: Material) -> Int8:
    """Measure the ranges; a dynamic graph needs none, and therefore no data."""
    from bertslim.methods.quantize.calibrate import quantize
    from bertslim.methods.quantize.observe import linear_layers
    from bertslim.model.quantization import Quantization, Range

    dynamic = job.int8.ranges == "dynamic"
    if material.rows is None:
        return Int8(model, Quantization(dict.fromkeys(linear_layers(model), Range(-1, 1))), dynamic)
    quantization, report = quantize(model, method_settings(job), material.rows)
    seen = {"method": job.calibration.calibration, "examples": report.examples}
    return Int8(model, quantization, dynamic, {"calibration": seen})


def _trained(
    job: Job, material: Material, resume: Path
) -> tuple["SlimBertPreTrainedModel", dict[str, Any]]:
    """Train with the rounding in place, the float model teaching, for --qat epochs."""
    from bertslim.methods.quantize.calibrate import quantize
    from bertslim.methods.quantize.qat import finetune_quantized
    from bertslim.train.examples import Sample, load_tokenizer, read_tuning
    from bertslim.train.resume import ResumeFolder

    model = material.model
    if not job.int8.qat or job.task is None or material.rows is None:
        return model, {}
    settings = method_settings(job)
    everything = Sample(sys.maxsize, job.seed)
    tokenizer = load_tokenizer(job.checkpoint.path)
    learnt, held_out = read_tuning(job.task, model, tokenizer, everything)
    quantization, _ = quantize(model, settings, material.rows)
    trained, report = finetune_quantized(
        model,
        quantization,
        settings.scheme,
        learnt,
        held_out,
        _train_settings(job),
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    return trained, {"training": asdict(report)}


def _train_settings(job: Job) -> "TrainSettings":
    """fp32: bf16 would blur the grid that is being learnt."""
    from bertslim.train.settings import TrainSettings

    return TrainSettings(
        epochs=job.int8.qat,
        batch_size=32,
        accumulation=1,
        learning_rate=job.int8.learning_rate,
        weight_decay=0.01,
        warmup=0.1,
        clip=1.0,
        dropout=0.0,
        freeze_embeddings=False,
        precision="fp32",
        seed=job.seed,
        device=job.device,
    )


def _spared(made: Int8, job: Job, material: Material) -> Int8:
    """Leave the fewest products in float that --max-drop allows on the tuning slice."""
    from bertslim.methods.quantize.exceptions import Bound, exceptions_for
    from bertslim.methods.quantize.sensitivity import sensitivities
    from bertslim.train.examples import selection_score

    tuning, rows, scheme = material.tuning, material.rows, method_settings(job).scheme
    if tuning is None or rows is None or job.int8.max_drop is None:
        return made
    few = rows.encoded.select(range(min(ROWS_FOR_SENSITIVITY, len(rows.encoded))))
    order = sensitivities(made.model, made.quantization, scheme, replace(rows, encoded=few))
    baseline = selection_score(made.model, tuning).value
    bound = Bound(lambda model: selection_score(model, tuning).value, baseline, job.int8.max_drop)
    found, score = exceptions_for(made.model, made.quantization, scheme, order, bound)
    for path, reason in found.exceptions.items():
        note(f"{path} stays in float: {reason}")
    slice_ = {"rows": len(tuning.data), "float": baseline, "int8": score}
    sensitivity = {found.path: found.error for found in order}
    details = {**made.details, "tuning slice": slice_, "sensitivity": sensitivity}
    return replace(made, quantization=found, details=details)


def _faster(made: Int8, job: Job) -> Int8:
    """Measure static against dynamic ranges on this machine, and take what is faster."""
    from bertslim.graph.emit import emit
    from bertslim.runtime.agreement import full_batch
    from bertslim.runtime.timing import Budget, time_rounds

    engines = {}
    for name in ("static", "dynamic"):
        form = form_for("onnxruntime", "int8", made.quantization, dynamic=name == "dynamic")
        graph = emit(made.model, form).SerializeToString()
        engines[name] = engine_for(made.model, graph, job.place)
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
    return replace(made, dynamic=fastest == "dynamic", details=details)


def _described(made: Int8) -> dict[str, Any]:
    """Return what `deploy.json` says of ranges, factors and exceptions."""
    q = made.quantization
    ranges = {} if made.dynamic else q.inputs
    return {
        "ranges": "dynamic" if made.dynamic else "static",
        "inputs": {path: asdict(found) for path, found in ranges.items()},
        "products": {path: asdict(found) for path, found in q.products.items()},
        "smoothed": {path: max(s) / min(s) for path, s in q.smoothing.items()},
        "exceptions": dict(q.exceptions),
        "embedding": "int8" if q.embedding else "float",
    }
