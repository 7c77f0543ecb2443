"""The fewest parts that have to stay in float so that a metric falls by no more than it may."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bertslim.console import track
from bertslim.errors import QualityError
from bertslim.methods.quantize.sensitivity import Sensitivity
from bertslim.methods.quantize.units import excepting
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.train.drop import within


@dataclass(frozen=True, slots=True)
class Bound:
    """How good int8 has to be.

    Attributes:
        score: The metric on a tuning slice of what a quantization makes; higher is better.
        baseline: Of the float model.
        max_drop: How far it may fall.
    """

    score: Callable[[Quantization], float]
    baseline: float
    max_drop: float


def exceptions_for(
    model: SlimBertPreTrainedModel,
    quantization: Quantization,
    order: Sequence[Sensitivity],
    bound: Bound,
) -> tuple[Quantization, float]:
    """Leave the fewest units in float that the bound allows.

    The most sensitive ones go first; how many are needed is found by bisection, as if the metric
    only rose with their number. As it does not quite, each is tried in int8 once more at the end.

    Args:
        model: It is left as it is.
        quantization: All that may be int8.
        order: The units, the most sensitive first.
        bound: What has to hold.

    Returns:
        What stays in int8, with a reason for each exception; and its score.

    Raises:
        QualityError: If the bound is missed even with all units in float.
    """
    trial = _Trial(model, quantization, bound, {})
    paths = [sensitivity.path for sensitivity in order]
    count = 0
    if not trial.passes([]):
        count = bisect_left(range(len(paths) + 1), True, key=lambda n: trial.passes(paths[:n]))
    if count > len(paths):
        raise QualityError(
            f"even with every product in float the metric is {trial.score(paths):.4f}, more than "
            f"{bound.max_drop:g} below {bound.baseline:.4f}",
            "the float model is not the one that was scored before, or scores vary by themselves",
        )
    needed = _given_back(trial, paths[:count])
    reasons = {s.path: _reason(trial, needed, s) for s in order if s.path in needed}
    return excepting(model, quantization, reasons), trial.score(needed)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Scores what remains of a quantization, each time only once."""

    model: SlimBertPreTrainedModel
    quantization: Quantization
    bound: Bound
    known: dict[frozenset[str], float]

    def score(self, exceptions: Sequence[str]) -> float:
        key = frozenset(exceptions)
        if key not in self.known:
            left = excepting(self.model, self.quantization, dict.fromkeys(key, ""))
            self.known[key] = self.bound.score(left)
        return self.known[key]

    def drop(self, exceptions: Sequence[str]) -> float:
        return self.bound.baseline - self.score(exceptions)

    def passes(self, exceptions: Sequence[str]) -> bool:
        return within(self.bound.baseline, self.score(exceptions), self.bound.max_drop)


def _given_back(trial: _Trial, exceptions: Sequence[str]) -> list[str]:
    """Return the exceptions but for those that turn out not to be needed, least sensitive first."""
    needed = list(exceptions)
    for path in track(exceptions[::-1], "trying exceptions in int8 once more"):
        fewer = [other for other in needed if other != path]
        if trial.passes(fewer):
            needed = fewer
    return needed


def _reason(trial: _Trial, needed: Sequence[str], sensitivity: Sensitivity) -> str:
    drop = trial.drop([path for path in needed if path != sensitivity.path])
    return (
        f"alone in int8 it moves the outputs by {sensitivity.error:.2g}; "
        f"with it the metric falls by {drop:.4f}"
    )
