"""What `quantize` is asked for, and what it works from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bertslim.commands.deploying import Place
from bertslim.commands.forms import int8_scheme
from bertslim.commands.options import Device
from bertslim.commands.quantize.options import CalibrationOptions, Int8Options
from bertslim.store.checkpoint import Checkpoint
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.graph.form import Form
    from bertslim.methods.quantize.calibrate import Quantize
    from bertslim.methods.quantize.observe import Rows
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.model.slim import SlimModel
    from bertslim.train.examples import Examples

ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    checkpoint: Checkpoint
    place: Place
    task: Task | None
    calibration: CalibrationOptions
    int8: Int8Options
    seed: int
    device: Device


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What an engine is made from."""

    model: "SlimBertPreTrainedModel"
    """In float."""
    rows: "Rows | None"
    """To calibrate on; None where nothing is calibrated."""
    tuning: "Examples | None" = None
    """A slice of the training data to choose by."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a method made."""

    model: "SlimModel"
    form: "Form"
    details: Mapping[str, Any] = field(default_factory=dict)
    """For `deploy.json`."""


def material_for(job: Job, model: "SlimBertPreTrainedModel") -> Material:
    """Read the data: training rows and their tuning slice, or texts."""
    from bertslim.methods.quantize.observe import Rows
    from bertslim.train.examples import Sample, load_tokenizer, read_tuning
    from bertslim.train.texts import read_texts

    sample = Sample(job.calibration.examples, job.seed)
    if job.task is None and job.calibration.text is None:
        return Material(model, rows=None)
    tokenizer = load_tokenizer(job.checkpoint.path)
    tuning, rows = None, None
    if job.task is not None:
        drawn, tuning = read_tuning(job.task, model, tokenizer, sample)
        rows = Rows(drawn.encoded, ROWS_AT_ONCE, drawn.masking)
    if job.calibration.text is not None:
        texts = read_texts(job.calibration.text, model, tokenizer, sample)
        rows = Rows(texts, ROWS_AT_ONCE)
    return Material(model, rows, tuning)


def method_settings(job: Job) -> "Quantize":
    """Turn the options into the method's settings."""
    from bertslim.methods.quantize.calibrate import Quantize
    from bertslim.methods.quantize.thresholds import Calibration

    return Quantize(
        Calibration(job.calibration.calibration, job.calibration.percentile),
        products=bool(job.int8.attention_products),
        smooth=job.int8.smooth,
        scheme=int8_scheme(job.place.target),
    )
