"""What a model's head is for."""

from typing import Final

from bertslim.errors import CheckpointError
from bertslim.model.families.family import SEQUENCES, SPANS, TOKENS, WORDS
from bertslim.model.slim import SlimConfig, SlimModel, head_of_model

KINDS = (
    "text-classification",
    "text-regression",
    "token-classification",
    "question-answering",
    "masked-lm",
)
HEADS = dict(zip(KINDS, (SEQUENCES, SEQUENCES, TOKENS, SPANS, WORDS), strict=True))
SINGLE_LABEL: Final = "single_label_classification"
MULTI_LABEL: Final = "multi_label_classification"
"""Values of `problem_type`: exactly one label is true, or any number of them."""


def head_kind(model: SlimModel | SlimConfig) -> str | None:
    """Which of `KINDS` a model or its configuration has the head of; None without a head.

    Whether several labels may be true is left aside: it is the same head.
    """
    config = model if isinstance(model, SlimConfig) else model.config
    head = head_of_model(model)
    if head == SEQUENCES:
        regression = config.problem_type == "regression" or config.num_labels == 1
        return "text-regression" if regression else "text-classification"
    return next((kind for kind, name in HEADS.items() if name == head), None)


def model_kind(model: SlimModel) -> str | None:
    """Which of `KINDS` a model serves as it stands; None without a head.

    Raises:
        CheckpointError: If several of its labels may be true at once, which no kind provides for.
    """
    kind = head_kind(model)
    if kind and HEADS[kind] == SEQUENCES and model.config.problem_type == MULTI_LABEL:
        raise CheckpointError(
            f'the model\'s head gives several labels at once (problem_type "{MULTI_LABEL}"), '
            "and tasks have one label for each text",
            "bertslim finetune MODEL --task FILE makes it choose one label; "
            "bertslim export writes it as it is",
        )
    return kind


def head_named(kind: str | None) -> str:
    """Say in a message what the head is for that serves `kind`, or that there is none."""
    return f"its head is for {kind}" if kind else "it has no head for a task"
