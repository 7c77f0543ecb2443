"""Training one student on what its teachers say of several tasks (after Liu et al. 2019, MKD)."""

from collections.abc import Mapping
from dataclasses import dataclass

from bertslim.methods.distill.objective import first_map, objective_of
from bertslim.methods.distill.plan import Plan
from bertslim.model.multitask import MultiTaskModel
from bertslim.train.examples import Examples
from bertslim.train.loop import Course, fit_tasks
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.teacher import Teacher
from bertslim.train.together import mean_score


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What there is of one task.

    Attributes:
        teacher: Answers what is compared; None if only labels are learnt from.
        planned: What is compared: answers alone, and the same terms for all tasks.
        learnt: What is trained on.
        held_out: Another part of the training data, to choose by, if there is one.
    """

    teacher: Teacher | None
    planned: Plan
    learnt: Examples
    held_out: Examples | None

    def course(self, seed: int) -> Course:
        """Return what is learnt."""
        objective = objective_of(self.planned, first_map(*self.planned.widths, seed))
        return Course(self.learnt.encoded, objective, self.teacher, self.planned.asked)


def distill_tasks(
    student: MultiTaskModel,
    taught: Mapping[str, Taught],
    settings: TrainSettings,
    *,
    balance: float,
    resume: ResumeFolder | None = None,
) -> tuple[MultiTaskModel, TrainReport]:
    """Train a student of several tasks, in place, to say what their teachers say.

    Args:
        student: What is trained; each head's outputs stand for the same labels as in `taught`.
        taught: By the tasks' names.
        settings: How to train.
        balance: How often a task has its turn; see `Turns`.
        resume: See `fit`.

    Returns:
        The student with the weights of the epoch whose mean metric was best, and how training went.
    """
    held_out = {name: one.held_out for name, one in taught.items() if one.held_out}
    return fit_tasks(
        student,
        {name: one.course(settings.seed) for name, one in taught.items()},
        settings,
        balance=balance,
        evaluate=(lambda trained: mean_score(trained, held_out)) if held_out else None,
        resume=resume,
    )
