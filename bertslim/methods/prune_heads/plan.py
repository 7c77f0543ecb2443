"""Which units stay: scored once, chosen for any budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bertslim.methods.prune_heads.budget import Limits, best_widths
from bertslim.methods.prune_heads.costs import Costs
from bertslim.methods.prune_heads.drop import Bound
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.fisher import fisher_rankings, gradient_rankings
from bertslim.methods.prune_heads.gradients import unit_gradients
from bertslim.methods.prune_heads.parts import Kept, Part
from bertslim.methods.prune_heads.rearrange import rearranged
from bertslim.methods.prune_heads.splits import widths_by_trial
from bertslim.methods.prune_heads.surgeon import surgeon_rankings
from bertslim.methods.prune_heads.tune import Form
from bertslim.methods.prune_heads.worth import Ranking
from bertslim.model.modeling import SlimBertPreTrainedModel

Method = Literal["gradient", "fisher", "surgeon"]
Metric = Callable[[Kept], float]
"""What is kept, all else masked -> the metric on a tuning slice; higher is better."""


@dataclass(frozen=True, slots=True, eq=False)
class PruneUnits:
    """Settings of `prune_units`.

    Attributes:
        method: What units are judged by.
        costs: What is spent, by the widths of the parts.
        limits: Which widths there are.
        remove: How much of the whole cost goes: a fraction, or as much as a bound allows.
        rearrange: Whether units are swapped once it is known how many stay; not for the surgeon,
            whose order takes into account what goes together.
        tune: What is set anew after the cut; None leaves the weights as they are.
        seed: Of the answers that the surgeon draws from the model.
    """

    method: Method
    costs: Costs
    limits: Limits
    remove: float | Bound
    rearrange: bool
    tune: Form | None
    seed: int

    def __post_init__(self) -> None:
        if self.rearrange and self.method == "surgeon":
            raise ValueError("the surgeon has no gradients to rearrange units by")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What is known of the units.

    Attributes:
        rankings: Of the units of each part.
        gradients: Per part (examples, units); none by the surgeon.
    """

    rankings: Mapping[Part, Ranking]
    gradients: Mapping[Part, Tensor]


def scored(model: SlimBertPreTrainedModel, settings: PruneUnits, evidence: Evidence) -> Scores:
    """Judge all units by the method that was asked for."""
    if settings.method == "surgeon":
        return Scores(surgeon_rankings(model, evidence, settings.seed, settings.limits), {})
    gradients = unit_gradients(model, evidence)
    rank = fisher_rankings if settings.method == "fisher" else gradient_rankings
    return Scores(rank(gradients), gradients)


def chosen(
    scores: Scores, settings: PruneUnits, removed: float, metric: Metric
) -> tuple[dict[Part, Tensor], int]:
    """Choose what stays when a fraction of the cost is to go.

    Args:
        scores: What is known of the units.
        settings: How to choose.
        removed: The fraction.
        metric: Asked only where scores of heads and FFN units cannot be compared.

    Returns:
        Per part (units,), True for those that stay; and how many were swapped.

    Raises:
        SettingsError: If the limits do not allow to remove so much.
    """
    costs, limits = settings.costs, settings.limits
    budget = (1 - removed) * costs.total
    if settings.method == "gradient" and len(limits.kinds) > 1:
        widths = widths_by_trial(scores.rankings, costs, limits, budget, metric)
    else:
        widths = best_widths(scores.rankings, costs, limits, budget)
    kept = {part: scores.rankings[part].kept(width) for part, width in widths.items()}
    if not settings.rearrange:
        return kept, 0
    found = {part: rearranged(scores.gradients[part], mask) for part, mask in kept.items()}
    return {part: mask for part, (mask, _) in found.items()}, sum(n for _, n in found.values())
