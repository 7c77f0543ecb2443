"""Training a student on what its teacher says (Hinton, Vinyals and Dean 2015)."""

from functools import partial

from torch import Tensor

from bertslim.methods.distill.objective import first_map, objective_of
from bertslim.methods.distill.plan import Plan
from bertslim.model.slim import SlimModel
from bertslim.train.encoding import ask_words
from bertslim.train.examples import Examples, selection_score
from bertslim.train.loop import fit
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.teacher import Teacher
from bertslim.train.thawing import thawing


def distill(
    student: SlimModel,
    teacher: Teacher | None,
    planned: Plan,
    settings: TrainSettings,
    learnt: Examples,
    held_out: Examples | None,
    *,
    basis: Tensor | None = None,
    everywhere: bool = False,
    thaw: bool = False,
    resume: ResumeFolder | None = None,
) -> tuple[SlimModel, TrainReport]:
    """Train a student, in place, to be like its teacher.

    Args:
        student: What is trained; its outputs stand for the same labels in the same order.
        teacher: Answers what is compared; None if only labels are learnt from.
        planned: What is compared.
        settings: How to train.
        learnt: What is trained on.
        held_out: Another part of the training data; the best epoch is chosen on it. Where the head
            does not learn, or without such a part, the last epoch is taken.
        basis: The student's channels among the teacher's, (teacher's hidden, student's), if they
            are known: where maps between their states begin.
        everywhere: Whether guesses of words are compared at all tokens, or at masked ones alone.
        thaw: Whether its parts begin to learn one after the other; see `thawing`.
        resume: See `fit`.

    Returns:
        The student, and how training went.
    """
    start = first_map(*planned.widths, settings.seed) if basis is None else basis
    answers, masking = planned.teaches_answers, learnt.masking
    # where no word is guessed, texts are read as they will be later: without masks
    ask = partial(ask_words, masking=masking, everywhere=everywhere) if masking else None
    return fit(
        student,
        learnt.encoded,
        objective_of(planned, start),
        settings,
        teacher=teacher,
        asked=planned.asked,
        before_step=thawing(student, settings.steps(len(learnt.encoded))) if thaw else None,
        evaluate=(lambda m: selection_score(m, held_out)) if held_out and answers else None,
        prepare=ask if answers else None,
        resume=resume,
    )
