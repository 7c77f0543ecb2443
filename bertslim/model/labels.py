"""Which labels a head knows, and in which order."""

from collections.abc import Sequence
from pathlib import Path

from bertslim.console import note
from bertslim.errors import CheckpointError
from bertslim.model.kinds import SINGLE_LABEL, head_kind
from bertslim.model.slim import SlimConfig


def label_order(
    path: Path,
    stored: SlimConfig,
    kind: str,
    labels: Sequence[str],
    unnamed: Sequence[str] = (),
) -> list[int] | None:
    """Rows of the stored head in the order of `labels`; [] as it is; None if it cannot serve.

    Args:
        path: Of the checkpoint.
        stored: Its configuration.
        kind: Of the task.
        labels: In the order wanted.
        unnamed: What the outputs of a head without names stand for; () where `labels` are in that
            order.
    """
    same = head_kind(stored) == kind
    if kind not in ("text-classification", "token-classification"):
        return [] if same else None
    names = [name for _, name in sorted((stored.id2label or {}).items())]
    if not labels and not same:
        raise CheckpointError(
            f"{path} has no head for {kind}, and a new one needs labels",
            "name the labels in the task, or give it labelled training data",
        )
    if not labels:
        return []
    if same and nameless(names) and len(names) == len(labels):
        names = list(unnamed or labels)
    if same and sorted(names) == sorted(labels):
        return [names.index(label) for label in labels]
    if same:
        note(f"{path.name}: its head knows other labels, so a new one is made")
    return None


def nameless(names: Sequence[str]) -> bool:
    """Whether these are the names that transformers gives to labels that were given none."""
    return list(names) == [f"LABEL_{number}" for number in range(len(names))]


def set_labels(config: SlimConfig, stored: SlimConfig, kind: str, labels: Sequence[str]) -> None:
    """Write into a configuration what the head of a kind of task is for."""
    if kind != head_kind(stored):
        config.problem_type, config.num_labels = None, 2
    if kind == "text-classification":
        config.problem_type = SINGLE_LABEL
    if kind == "text-regression":
        config.problem_type, labels = "regression", ("LABEL_0",)
    if labels and kind.endswith(("-classification", "-regression")):
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
