"""Quantization-aware fine-tuning: a model learns with the rounding of int8 in place.

As in Q8BERT (Zafrir et al. 2019), but that the ranges are calibrated ones, and that what is learnt
from is the float model as well as the labels.
"""

from functools import partial

from bertslim.methods.quantize.grid import Scheme
from bertslim.methods.quantize.simulate import simulated
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.model.rebuilding import rebuilt
from bertslim.train.encoding import mask_tokens
from bertslim.train.examples import Examples, selection_score
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective, teacher_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.teacher import LiveTeacher

TEMPERATURE, ALPHA = 2.0, 0.9
"""Most of it is learnt from the float model, which knows more about a text than its label."""


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

    The gradient passes straight through the rounding. Words to guess are learnt from labels alone:
    a masked language model gives no logits while it learns.

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
    masking = learnt.masking
    with simulated(student, quantization, scheme):
        return fit(
            student,
            learnt.encoded,
            labels_objective if masking else teacher_objective(TEMPERATURE, ALPHA),
            settings,
            teacher=None if masking else LiveTeacher(model),
            evaluate=lambda trained: selection_score(trained, held_out),
            prepare=partial(mask_tokens, masking=masking) if masking else None,
            resume=resume,
        )
