"""What `quantize` does with a recurrent model, whose weights tell all that has to be known."""

from dataclasses import replace
from typing import TYPE_CHECKING

from bertslim.commands.forms import GPU_TARGETS, form_for
from bertslim.commands.graphs import refuse_beyond_half
from bertslim.commands.quantize.int8 import Int8, advise, described, int8_form, settled
from bertslim.commands.quantize.job import Job, Made

if TYPE_CHECKING:
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel


def recurrent_made(job: Job, model: "SlimLstmPreTrainedModel") -> Made:
    """Choose a form; no text is read for it.

    Raises:
        UnavailableError: If fp16 may not hold what the model computes.
    """
    target, precision = job.place.target, job.place.precision
    if target in GPU_TARGETS:
        refuse_beyond_half(model)
    if precision != "int8":
        return Made(model, form_for(target, precision))
    made = _int8(job, model)
    return Made(model, int8_form(made, job), made.details)


def _int8(job: Job, model: "SlimLstmPreTrainedModel") -> "Int8[SlimLstmPreTrainedModel]":
    """Round table and projections; on ONNX Runtime the LSTMs too, where that is faster."""
    from bertslim.methods.quantize.recurrent import known_ranges

    advise(job)
    made = settled(Int8(model, known_ranges(model), job.int8.ranges == "dynamic"), job)
    return replace(made, details={**made.details, **described(made)})
