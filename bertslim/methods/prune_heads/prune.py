"""Removing attention heads by their gradient importance (Michel, Levy and Neubig 2019)."""

from dataclasses import dataclass, replace

from bertslim.methods.prune_heads.amount import Amount, heads_to_remove, most_removable
from bertslim.methods.prune_heads.drop import Bound, Held, most_within
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.orders import ORDERS, OrderKind, Walk, tenths
from bertslim.methods.prune_heads.ranking import Head, all_heads, by_layer, normalised, without
from bertslim.methods.prune_heads.silencing import metric_without, scores_without
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.store.journal import Findings

Scores = tuple[tuple[float, ...], ...]
"""Importance per layer and head."""


@dataclass(frozen=True, slots=True, eq=False)
class PruneHeads:
    """Settings of `prune_heads`.

    Attributes:
        remove: How much goes: so much, or as much as a bound allows.
        keep_at_least: Heads that every layer keeps; of an attention without any, the output bias
            is left.
        order: Whether heads are ranked once, or again whenever a tenth of all has gone.
    """

    remove: Amount | Bound
    keep_at_least: int
    order: OrderKind


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What was removed, and why.

    Attributes:
        removed: Per layer, the removed heads, numbered as in the input.
        order: (layer, head) in the order of removal, least important first.
        scores: Importance of all heads before anything was removed, per-layer L2 norm 1.
        scored_examples: How many examples each scoring saw.
        held: What the bound was held to; None where the number of heads was asked for.
    """

    removed: dict[int, list[int]]
    order: tuple[Head, ...]
    scores: Scores
    scored_examples: int
    held: Held | None


def prune_heads(
    model: SlimBertPreTrainedModel,
    settings: PruneHeads,
    evidence: Evidence,
    findings: Findings | None = None,
) -> tuple[SlimBertPreTrainedModel, HeadReport]:
    """Remove the least important heads.

    Args:
        model: A fine-tuned model; it is left as it is.
        settings: How many heads go, and in which order.
        evidence: What they are scored on: training examples.
        findings: What is known already; all that is found is added.

    Returns:
        The smaller model and what was done.

    Raises:
        SettingsError: If so many heads cannot go.
        QualityError: If the bound does not allow to remove a single one.
    """
    kept, findings = all_heads(model.config), {} if findings is None else findings
    scores = scores_without(model, evidence, findings)
    walk = Walk(ORDERS[settings.order](scores, kept, settings.keep_at_least))
    goal, held = _goal(model, settings, walk, findings)
    order = walk.first(goal)
    report = replace(
        scored_heads(model, evidence, findings),
        removed=by_layer(order),
        order=tuple(order),
        held=held,
    )
    return remove_heads(model, report.removed), report


def scored_heads(
    model: SlimBertPreTrainedModel, evidence: Evidence, findings: Findings
) -> HeadReport:
    """Score all heads and remove none."""
    kept = all_heads(model.config)
    scores = normalised(scores_without(model, evidence, findings)(kept), kept)
    found = tuple(tuple(layer.tolist()) for layer in scores)
    return HeadReport({}, (), found, len(evidence.data), None)


def _goal(
    model: SlimBertPreTrainedModel, settings: PruneHeads, walk: Walk, findings: Findings
) -> tuple[int, Held | None]:
    """Return how many heads go, and what was measured to find that out."""
    bound, least = settings.remove, settings.keep_at_least
    if not isinstance(bound, Bound):
        return heads_to_remove(model.config, bound, least), None
    kept, most = all_heads(model.config), most_removable(model.config, least)
    metric = metric_without(model, bound.examples, findings, "tuning")
    stops = [*(stop for stop in tenths(sum(map(len, kept))) if stop < most), most]
    return most_within(lambda count: metric(without(kept, walk.first(count))), stops, bound)
