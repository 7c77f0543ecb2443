"""What a student is asked to learn from its teacher."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bertslim.errors import SettingsError, fault_list, given_twice
from bertslim.methods.distill.recurrent import RecurrentShape
from bertslim.methods.distill.student import Student, parse_student, student_faults

ObjectiveName = Literal["logits", "pkd", "distilbert", "tinybert"]
TERMS = (
    "task",
    "soft",
    "mse",
    "pseudo",
    "patient",
    "cosine",
    "embeddings",
    "hidden",
    "attention",
    "representation",
)
"""What can be weighed."""
TAUGHT = ("soft", "mse", "pseudo")
"""Terms that compare with the teacher's logits."""
ANSWERS = ("task", *TAUGHT)
"""Terms that make the student's head learn."""

Match = Literal["skip", "last"] | tuple[int, ...]
"""How the student's layers go with the teacher's: by rule, or the teacher's for each of them."""


@dataclass(frozen=True, slots=True)
class Distill:
    """Settings of `distill`."""

    objective: ObjectiveName
    """Which losses are added up."""
    temperature: float
    """Softens the distributions of teacher and student before they are compared."""
    alpha: float | None
    """Weight of the teacher's logits; the labels get 1 - alpha. None: as the objective has it."""
    weights: Mapping[str, float]
    """Replaces weights of the objective."""
    match: Match
    """Which layers are compared, if any."""
    student: Student | None
    """What the student is cut to, or built as; None: it is what the input is."""


def distill_settings(
    objective: ObjectiveName,
    temperature: float,
    alpha: float | None,
    weights: Sequence[str],
    match: str,
    student: str | None,
    embeddings: str | None = None,
) -> Distill:
    """Read the options as they were given.

    Args:
        objective: See `Distill`, as `temperature` and `alpha`.
        temperature: T.
        alpha: Of the teacher.
        weights: Words NAME=X.
        match: `skip`, `last`, or numbers of layers between commas.
        student: See `parse_shape` and `parse_recurrent`.
        embeddings: `teacher`, `random` or a file; for recurrent students.

    Raises:
        SettingsError: With everything that is wrong.
    """
    faults = []
    if not (temperature > 0 and math.isfinite(temperature)):
        faults.append(f"--temperature must be above 0, not {temperature}")
    if alpha is not None and not 0 <= alpha <= 1:
        faults.append(f"--alpha must lie between 0 and 1, not {alpha}")
    faults += [fault for word in weights if (fault := _weight_fault(word))]
    faults += given_twice(f"--weight {word.partition('=')[0]}" for word in weights)
    if (pairs := _match(match)) is None:
        faults.append(f"--match {match} is neither skip nor last nor numbers such as 2,4")
    faults += student_faults(student, embeddings)
    if faults or pairs is None:
        raise SettingsError(fault_list("these options cannot be", faults))
    read = {name: float(value) for name, _, value in (word.partition("=") for word in weights)}
    shape = parse_student(student, embeddings)
    return Distill(objective, temperature, alpha, read, pairs, shape)


def requested(wishes: Distill) -> dict[str, Any]:
    """Return the settings that a request is known by: a part that is not asked for has no name."""
    kept = asdict(wishes)
    if isinstance(wishes.student, RecurrentShape) and not wishes.student.sizes.crf:
        del kept["student"]["sizes"]["crf"]
    return kept


def _weight_fault(word: str) -> str:
    """What is wrong with NAME=X; nothing if it is ""."""
    name, _, value = word.partition("=")
    if name not in TERMS:
        return f"--weight {word}: there is no {name} among {', '.join(TERMS)}"
    try:
        fine = 0 <= float(value) < math.inf
    except ValueError:
        fine = False
    return "" if fine else f"--weight {word}: its value must be a number, 0 or more"


def _match(text: str) -> Match | None:
    if text == "skip":
        return "skip"
    if text == "last":
        return "last"
    parts = text.split(",")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None
