"""How good a model is at several tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from bertslim.model.multitask import MultiTaskModel
from bertslim.train.examples import Examples, selection_score


@dataclass(frozen=True, slots=True)
class MeanScore:
    """The mean of the metrics that decide, each of which is at most 1."""

    value: float


def mean_score(model: MultiTaskModel, examples: Mapping[str, Examples]) -> MeanScore:
    """Score each task's model on its own examples, to choose between epochs."""
    scores = (selection_score(model.tasks[name], own).value for name, own in examples.items())
    return MeanScore(fmean(scores))
