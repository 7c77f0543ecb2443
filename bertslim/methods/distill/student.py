"""What `--student` can say: a shape to cut out of a model, or a recurrent model to build."""

from typing import get_args

from bertslim.methods.distill.recurrent import (
    RecurrentKind,
    RecurrentShape,
    names_recurrent,
    parse_recurrent,
    recurrent_faults,
)
from bertslim.methods.distill.shape import StudentShape, parse_shape, shape_faults

Student = StudentShape | RecurrentShape


def student_faults(text: str | None, embeddings: str | None) -> list[str]:
    """Return everything that is wrong with what `--student` and `--embeddings` say."""
    if text is not None and names_recurrent(text):
        return recurrent_faults(text)
    faults = [] if text is None else _shape_faults(text)
    if embeddings is not None:
        faults.append("--embeddings is for recurrent students, such as --student bilstm")
    return faults


def parse_student(text: str | None, embeddings: str | None) -> Student | None:
    """Read them; `student_faults` has found nothing wrong."""
    if text is None:
        return None
    if names_recurrent(text):
        return parse_recurrent(text, embeddings or "teacher")
    return parse_shape(text)


def _shape_faults(text: str) -> list[str]:
    name, named, _ = text.partition(",")[0].partition("=")
    if named:
        return shape_faults(text)
    known = ", ".join(get_args(RecurrentKind))
    return [
        f"--student {text}: {name.strip() or 'nothing'} is neither NAME=SIZE nor one of {known}"
    ]
