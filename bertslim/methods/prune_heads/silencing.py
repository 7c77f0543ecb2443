"""How good a model is without some of its heads, which are silenced and not cut out."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.importance import head_importance
from bertslim.methods.prune_heads.orders import Scorer
from bertslim.methods.prune_heads.ranking import heads_of
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.running import run_model
from bertslim.store.journal import Findings, remembered
from bertslim.train.examples import Examples, score_run

Metric = Callable[[Sequence[Tensor]], float]
"""Per layer (heads,), False where silenced -> the metric; higher is better."""


def metric_without(
    model: SlimBertPreTrainedModel, examples: Examples, findings: Findings, name: str
) -> Metric:
    """Return what scores a model on some data without some heads, each choice of them only once.

    Args:
        model: It is left as it is.
        examples: The data.
        findings: What is known already.
        name: Of the data, for the findings.
    """
    device = next(model.parameters()).device

    def metric(kept: Sequence[Tensor]) -> float:
        gates = Gates(heads=[mask.to(device, torch.float32) for mask in kept])
        run = functools.partial(run_model, model, gates=gates)
        return score_run(run, examples, resamples=0).value

    return lambda kept: remembered(findings, f"{name} {_spelled(kept)}", lambda: metric(kept))


def scores_without(
    model: SlimBertPreTrainedModel, evidence: Evidence, findings: Findings
) -> Scorer:
    """Return what scores the heads that are left, each choice of them only once."""

    def importance(kept: Sequence[Tensor]) -> list[list[float]]:
        return [layer.tolist() for layer in head_importance(model, kept, evidence)]

    def scores(kept: Sequence[Tensor]) -> list[Tensor]:
        found = remembered(findings, f"scores {_spelled(kept)}", lambda: importance(kept))
        return [torch.tensor(layer, dtype=torch.float64) for layer in found]

    return scores


def _spelled(kept: Sequence[Tensor]) -> str:
    """Write the silenced heads: "without 0.3 2.11"."""
    silenced = heads_of(kept, kept=False)
    return " ".join(["without", *(f"{layer}.{head}" for layer, head in silenced)])
