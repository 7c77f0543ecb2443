"""What a recurrent student can be compared in: its answers, and what a text comes to in it."""

from collections.abc import Mapping

from bertslim.methods.distill.settings import ANSWERS, Match
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.families.family import SEQUENCES
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.slim import SlimConfig, head_of_model


def recurrent_plan_faults(
    weights: Mapping[str, float], match: Match, student: SlimConfig, teacher: SlimConfig
) -> list[str]:
    """Return what is wrong with a comparison in which one of the two is recurrent."""
    faults = []
    if not weights:
        faults.append("all weights are 0: there is nothing to learn")
    if others := [term for term in weights if term not in (*ANSWERS, "representation")]:
        faults.append(
            f"{' and '.join(others)} would compare layers, and one of the two is recurrent; "
            "take --objective logits"
        )
    if "representation" in weights:
        faults += _representation_faults(match, student, teacher)
    return faults


def middle_layer(match: Match, teacher: SlimConfig) -> int:
    """Return the teacher's layer that is named, or the one in the middle.

    Of twelve layers the sixth and seventh were best (Mukherjee and Awadallah 2020, table 8).
    """
    return (
        match[0]
        if isinstance(match, tuple) and len(match) == 1
        else (teacher.num_hidden_layers + 1) // 2
    )


def representation_size(student: SlimConfig) -> int:
    """Return the channels of what a student's text, or pair of texts, comes to."""
    if isinstance(student, SlimLstmConfig):
        return student.state_size * (4 if student.pairs else 1)
    return student.hidden_size


def _representation_faults(match: Match, student: SlimConfig, teacher: SlimConfig) -> list[str]:
    if isinstance(teacher, SlimLstmConfig) or isinstance(student, SlimBertConfig):
        return ["representation is learnt by a recurrent student from a transformer"]
    faults, layer = [], middle_layer(match, teacher)
    if match == "last" or (isinstance(match, tuple) and len(match) > 1):
        faults.append("representation learns from one layer: --match N, or leave it out")
    if head_of_model(student) != SEQUENCES:
        faults.append("representation is what a text comes to, and this student has no texts")
    if not 1 <= layer <= teacher.num_hidden_layers:
        faults.append(
            f"--match asks for layer {layer} of a teacher that has 1 to {teacher.num_hidden_layers}"
        )
    return faults
