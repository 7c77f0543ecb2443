"""Training a student on what its teacher says (Hinton, Vinyals and Dean 2015)."""

from bertslim.methods.distill.settings import Distill
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.examples import Examples, selection_score
from bertslim.train.loop import fit
from bertslim.train.objectives import teacher_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.teacher import LiveTeacher


def distill(
    student: SlimBertPreTrainedModel,
    teacher: SlimBertPreTrainedModel,
    settings: Distill,
    training: TrainSettings,
    learnt: Examples,
    held_out: Examples,
    *,
    resume: ResumeFolder | None = None,
) -> tuple[SlimBertPreTrainedModel, TrainReport]:
    """Train a student, in place, on the logits of a teacher and on the labels.

    Args:
        student: What is trained; its outputs stand for the same labels in the same order.
        teacher: It reads the student's rows, without dropout, and is left as it is.
        settings: What is learnt from whom.
        training: How to train.
        learnt: What is trained on.
        held_out: Another part of the training data; the best epoch is chosen on it.
        resume: See `fit`.

    Returns:
        The student, and how training went.
    """
    return fit(
        student,
        learnt.encoded,
        teacher_objective(settings.temperature, settings.alpha),
        training,
        teacher=LiveTeacher(teacher),
        evaluate=lambda trained: selection_score(trained, held_out),
        resume=resume,
    )
