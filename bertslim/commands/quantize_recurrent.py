"""What `quantize` does with a recurrent model, whose weights tell all that has to be known."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bertslim.commands.forms import GPU_TARGETS, form_for
from bertslim.commands.int8 import Int8, described, faster, int8_form
from bertslim.commands.quantize_job import Job, Made
from bertslim.commands.quantize_options import Int8Options
from bertslim.errors import SettingsError, UnavailableError, fault_list

if TYPE_CHECKING:
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel


def refuse_for_recurrent(origin: str, int8: Int8Options) -> None:
    """Refuse what is done to transformers alone.

    Raises:
        SettingsError: Naming all of it.
    """
    wishes: Mapping[str, Any] = {
        "--max-drop": int8.max_drop is not None,
        "--qat": int8.qat,
        "--attention-products": int8.attention_products,
    }
    if found := [flag for flag, wish in wishes.items() if wish]:
        raise SettingsError(
            f"{origin} is a recurrent model, and {', '.join(found)} is for transformers alone",
            "leave it out; bertslim bench --max-drop holds int8 to a bound",
        )


def recurrent_settings(precision: str, target: str, int8: Int8Options) -> dict[str, Any]:
    """Keep the options that play a part: nothing is calibrated."""
    ranges = {"ranges": int8.ranges} if target == "onnxruntime" else {}
    scales = {"scales": int8.scales} if target in GPU_TARGETS else {}
    return {**ranges, **scales} if precision == "int8" else {}


def recurrent_made(job: Job, model: "SlimLstmPreTrainedModel") -> Made:
    """Choose a form; no text is read for it.

    Raises:
        UnavailableError: If fp16 may not hold what the model computes.
    """
    target, precision = job.place.target, job.place.precision
    if target in GPU_TARGETS:
        _refuse_beyond_half(model)
    if precision != "int8":
        return Made(model, form_for(target, precision))
    made = _int8(job, model)
    return Made(model, int8_form(made, job), made.details)


def _int8(job: Job, model: "SlimLstmPreTrainedModel") -> "Int8[SlimLstmPreTrainedModel]":
    """Round table and projections; on ONNX Runtime the LSTMs too, where that is faster."""
    from bertslim.methods.quantize.recurrent import known_ranges

    made = Int8(model, known_ranges(model), job.int8.ranges == "dynamic")
    if job.place.target == "onnxruntime" and job.int8.ranges == "auto":
        made = faster(made, job)
    return replace(made, details={**made.details, **described(made)})


def _refuse_beyond_half(model: "SlimLstmPreTrainedModel") -> None:
    from bertslim.methods.quantize.recurrent import beyond_half

    if faults := beyond_half(model):
        raise UnavailableError(
            fault_list(
                "fp16 may not hold what this model computes",
                [f"{path}: {reason}" for path, reason in faults.items()],
            ),
            "keep it in fp32",
        )
