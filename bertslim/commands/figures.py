"""The figures that every step reports of a model, before and after."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples


def figures(model: "SlimBertPreTrainedModel", reported: "Examples") -> dict[str, Any]:
    """Return parameters, FLOPs per sequence of 128 tokens, and the score on the reported data."""
    from bertslim.model.shapes import LENGTH, flops, parameter_counts
    from bertslim.train.examples import score_model

    return {
        "parameters": parameter_counts(model).total,
        "flops": flops(model.config, LENGTH),
        "score": asdict(score_model(model, reported)),
    }
