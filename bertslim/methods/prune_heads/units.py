"""Removing heads and FFN units under a budget, without training (after Kwon et al. 2022)."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from bertslim.errors import SettingsError
from bertslim.methods.prune_heads.budget import pays
from bertslim.methods.prune_heads.drop import Bound, Held, most_within
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.parts import KINDS, Kept, Part, cut, widths_of
from bertslim.methods.prune_heads.plan import Metric, PruneUnits, Scores, chosen, scored
from bertslim.methods.prune_heads.tune import Residual, tune
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.running import run_model
from bertslim.train.examples import Examples, score_run, selection_score

T = TypeVar("T")

STEPS = 40
"""A bound is met to one part in so many of the cost,"""
STRIDE = 10
"""found coarse to fine: so many parts at a time first."""


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What became of the model.

    Attributes:
        heads: Per layer, how many are left.
        ffn: Per layer, the width of the FFN that is left.
        removed_heads: Per layer, which went, numbered as in the input.
        unit: What costs are counted in.
        before: Cost of the whole model's layers.
        after: Cost of those that are left, by the table that was searched with.
        removed: Fraction of the cost that was to go.
        share: By kind, the fraction of its cost that is left.
        swaps: How many units were swapped for others after the search.
        residuals: What least squares made good, part by part.
        scored_examples: How many examples units were judged by.
        seconds: What took how long.
        held: What the bound was held to; None where a fraction was asked for.
    """

    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    removed_heads: dict[int, list[int]]
    unit: str
    before: float
    after: float
    removed: float
    share: dict[str, float]
    swaps: int
    residuals: tuple[Residual, ...]
    scored_examples: int
    seconds: dict[str, float]
    held: Held | None


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """One way to prune a model."""

    model: SlimBertPreTrainedModel
    kept: Kept
    swaps: int
    residuals: tuple[Residual, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What there is to work with, and how long it takes."""

    model: SlimBertPreTrainedModel
    settings: PruneUnits
    evidence: Evidence
    tuning: Examples | None
    seconds: dict[str, float]

    def timed(self, name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        done = work()
        spent = time.perf_counter() - started
        self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 2)
        return done


def prune_units(
    model: SlimBertPreTrainedModel,
    settings: PruneUnits,
    evidence: Evidence,
    tuning: Examples | None = None,
) -> tuple[SlimBertPreTrainedModel, UnitReport]:
    """Remove the heads and FFN units that matter least for what they cost.

    Scores; then the widths that the budget pays for; then, perhaps, swaps; then the cut; then
    least squares for what is left.

    Args:
        model: A fine-tuned model; it is left as it is.
        settings: How much goes, and how.
        evidence: What units are scored on, and what least squares are fitted to.
        tuning: Other training examples, for what scores do not tell: how `gradient` shares a budget
            between heads and FFN units.

    Returns:
        The smaller model and what was done.

    Raises:
        SettingsError: If the limits do not allow to remove so much.
        QualityError: If the bound does not allow to remove anything.
    """
    work = _Work(model, settings, evidence, tuning, {})
    scores = work.timed("scoring", lambda: scored(model, settings, evidence))
    removed, held = settings.remove, None
    if isinstance(removed, Bound):
        removed, held = _most_within(work, scores, removed)
    pruned = _pruned(work, scores, removed)
    return pruned.model, _report(work, pruned, removed, held)


def _pruned(work: _Work, scores: Scores, removed: float) -> Pruned:
    """Choose, cut, and set anew what is left."""
    settings, metric = work.settings, masked_metric(work.model, work.tuning)
    kept, swaps = work.timed("search", lambda: chosen(scores, settings, removed, metric))
    slim, residuals = cut(work.model, kept), list[Residual]()
    if (form := settings.tune) is not None:
        residuals = work.timed("tuning", lambda: tune(slim, work.model, work.evidence, form))
    return Pruned(slim, kept, swaps, tuple(residuals))


def masked_metric(model: SlimBertPreTrainedModel, tuning: Examples | None) -> Metric:
    """Return what scores a model with some of its units masked, on a slice of training data."""
    device = next(model.parameters()).device

    def metric(kept: Kept) -> float:
        if tuning is None:
            raise SettingsError("there is no tuning slice to choose by", "give some training data")
        layers = range(model.config.num_hidden_layers)
        heads, ffn = (
            [kept[Part(layer, kind)].to(device, torch.float32) for layer in layers]
            for kind in KINDS
        )
        run = functools.partial(run_model, model, gates=Gates(heads, ffn))
        return score_run(run, tuning, resamples=0).value

    return metric


def _most_within(work: _Work, scores: Scores, bound: Bound) -> tuple[float, Held]:
    """Find the greatest fraction that may go; each one that is tried is cut and set anew."""

    def metric(steps: int) -> float:
        if steps == 0:
            return selection_score(work.model, bound.examples).value
        slim = _pruned(work, scores, steps / STEPS).model
        return work.timed("evaluating", lambda: selection_score(slim, bound.examples).value)

    costs, limits = work.settings.costs, work.settings.limits
    possible = [n for n in range(STEPS) if pays(costs, limits, (1 - n / STEPS) * costs.total)]
    stops = [*range(0, possible[-1], STRIDE), possible[-1]]
    steps, held = most_within(metric, stops, bound, f"a {STEPS}th of the {costs.unit}")
    return steps / STEPS, held


def _report(work: _Work, pruned: Pruned, removed: float, held: Held | None) -> UnitReport:
    costs, widths = work.settings.costs, widths_of(pruned.kept)
    heads, ffn = ({p: n for p, n in widths.items() if p.kind == kind} for kind in KINDS)
    gone = {part.layer: (~pruned.kept[part]).nonzero().flatten().tolist() for part in heads}
    return UnitReport(
        heads=tuple(heads.values()),
        ffn=tuple(ffn.values()),
        removed_heads={layer: found for layer, found in gone.items() if found},
        unit=costs.unit,
        before=costs.total,
        after=costs.of(widths),
        removed=removed,
        share={kind: costs.share(kind, widths) for kind in KINDS},
        swaps=pruned.swaps,
        residuals=pruned.residuals,
        scored_examples=len(work.evidence.data),
        seconds=work.seconds,
        held=held,
    )
