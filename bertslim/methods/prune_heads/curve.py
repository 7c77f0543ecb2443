"""What the metric is with fewer and fewer heads: the whole trade-off, by masks alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from torch import Tensor

from bertslim.console import note
from bertslim.methods.prune_heads.amount import removable
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.orders import ORDERS, Scorer, Walk, random_order, tenths
from bertslim.methods.prune_heads.ranking import all_heads, without
from bertslim.methods.prune_heads.silencing import metric_without, scores_without
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.journal import Findings
from bertslim.train.examples import Examples
from bertslim.train.prediction import Score

DRAWS = 3
"""Random orders that the others are compared with."""


@dataclass(frozen=True, slots=True)
class HeadCurve:
    """Settings of `head_curve`.

    Attributes:
        keep_at_least: Heads that every layer keeps.
        seed: Of the random orders.
    """

    keep_at_least: int
    seed: int


@dataclass(frozen=True, slots=True)
class Chance:
    """The metric when heads go at random."""

    mean: float
    low: float
    high: float
    draws: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """The metric without a number of heads, by the order in which these went.

    Attributes:
        removed: How many went.
        iterative: The rest was ranked again at every tenth.
        once: All were ranked once.
        random: At random.
    """

    removed: int
    iterative: float
    once: float
    random: Chance


@dataclass(frozen=True, slots=True)
class Curve:
    """The trade-off of one model.

    Attributes:
        heads: How many it has.
        whole: How good it is with all of them.
        points: At every tenth of them, as far as layers may be emptied.
    """

    heads: int
    whole: Score
    points: tuple[Point, ...]


def head_curve(
    model: SlimBertPreTrainedModel,
    settings: HeadCurve,
    evidence: Evidence,
    reported: Examples,
    whole: Score,
    findings: Findings | None = None,
) -> Curve:
    """Silence ever more heads, in every order, and look at the metric; nothing is chosen by it.

    Args:
        model: A fine-tuned model; it is left as it is.
        settings: How far, and by which chance.
        evidence: What heads are scored on: training examples.
        reported: What the metric is measured on.
        whole: The model's score there.
        findings: What is known already; all that is found is added.
    """
    kept, findings = all_heads(model.config), {} if findings is None else findings
    walks = _walks(kept, settings, scores_without(model, evidence, findings))
    metric = metric_without(model, reported, findings, "reported")
    heads, points = sum(map(len, kept)), [_point(0, [whole.value] * len(walks))]
    most = removable(model.config, settings.keep_at_least)
    for count in tenths(heads)[1:]:
        if count <= most:
            values = [metric(without(kept, walk.first(count))) for walk in walks]
            points.append(_point(count, values))
            note(_said(points[-1], heads))
    return Curve(heads, whole, tuple(points))


def _walks(kept: Sequence[Tensor], settings: HeadCurve, scores: Scorer) -> list[Walk]:
    """Return the orders to compare: those of `ORDERS`, then the random ones."""
    ranked = [order(scores, kept, settings.keep_at_least) for order in ORDERS.values()]
    seeds = range(settings.seed, settings.seed + DRAWS)
    drawn = [random_order(kept, settings.keep_at_least, seed) for seed in seeds]
    return [Walk(heads) for heads in (*ranked, *drawn)]


def _point(removed: int, values: Sequence[float]) -> Point:
    iterative, once, *draws = values
    chance = Chance(mean(draws), min(draws), max(draws), tuple(draws))
    return Point(removed, iterative, once, chance)


def _said(point: Point, heads: int) -> str:
    return (
        f"{point.removed} of {heads} heads silenced: {point.iterative:.4f} iteratively, "
        f"{point.once:.4f} ranked once, {point.random.mean:.4f} at random"
    )
