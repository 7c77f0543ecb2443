"""What `distill` is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertslim.store.checkpoint import Checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.methods.distill.settings import Distill

Words = Literal["masked", "all"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    source: Checkpoint
    """What becomes the student."""
    teachers: tuple[Checkpoint, ...]
    task: Task
    distill: "Distill"
    training: TrainSettings
    unlabelled: Path | None
    """More texts, which the teacher alone says something about."""
    vectors: Path | None
    """Where the words of a recurrent student begin, if it is a file."""
    labels_per_class: int | None
    """How many texts of each class have a label; None: all."""
    thaw: bool
    """Whether the student's parts begin to learn one after the other."""
    cache: Path | None
    """Where the teacher's answers are kept for other runs."""
    live: bool
    """Whether the teacher is asked at every step."""
    words: Words
    """Of a masked-lm task: at which tokens guesses are compared."""

    @property
    def cut_from_teacher(self) -> bool:
        """Whether the student's weights are the teacher's own."""
        return self.source.digest() == self.teachers[0].digest()

    @property
    def reads_plain_text(self) -> bool:
        """Whether encoders learn from encoders: the task has words to guess, and none is."""
        from bertslim.methods.distill.plan import learns_answers

        return self.task.kind == "masked-lm" and not learns_answers(self.distill)

    @property
    def has_own_words(self) -> bool:
        """Whether the student reads by a vocabulary that is made for it."""
        from bertslim.methods.distill.recurrent import RecurrentShape

        shape = self.distill.student
        return isinstance(shape, RecurrentShape) and bool(shape.sizes.words)
