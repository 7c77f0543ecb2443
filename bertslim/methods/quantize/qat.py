"""Quantization-aware fine-tuning: a model learns with the rounding of int8 in place.

As in Q8BERT (Zafrir et al. 2019), but that the ranges are calibrated ones, and that what is learnt
from is the float model as well as the labels.
"""

from bertslim.methods.quantize.grid import Scheme
from bertslim.methods.quantize.simulate import simulated
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.model.rebuilding import rebuilt
from bertslim.train.examples import Examples
from bertslim.train.recovery import recover
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings


def finetune_quantized(
    model: SlimBertPreTrainedModel,
    quantization: Quantization,
    scheme: Scheme,
    learnt: Examples,
    held_out: Examples,
    settings: TrainSettings,
    *,
    resume: ResumeFolder | None = None,
) -> tuple[SlimBertPreTrainedModel, TrainReport]:
    """Fine-tune a copy of a model so that it does well in int8.

    The gradient passes straight through the rounding.

    Args:
        model: The float model, which teaches; it is left as it is.
        quantization: What is int8 during training, and in which ranges. Afterwards the ranges are
            to be calibrated anew.
        scheme: Of activations.
        learnt: What is trained on.
        held_out: Another part of the training data; the best epoch is chosen on it, in int8.
        settings: How to train.
        resume: See `fit`.

    Returns:
        The new model, in float, and how training went.
    """
    student = rebuilt(model, model.config, model.state_dict())
    with simulated(student, quantization, scheme):
        return recover(student, model, learnt, held_out, settings, resume=resume)
