"""The figures that every step reports of a model, before and after."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel
    from bertslim.train.examples import Examples
    from bertslim.train.prediction import Score


def figures(model: "SlimModel", reported: "Examples | None") -> dict[str, Any]:
    """Return the model's size, and the score on the reported data, if there is any."""
    from bertslim.train.examples import score_model

    if reported is None:
        return size_figures(model)
    return scored_figures(model, score_model(model, reported))


def scored_figures(model: "SlimModel", score: "Score") -> dict[str, Any]:
    """Return the same of a model whose score is known."""
    return {**size_figures(model), "score": asdict(score)}


def size_figures(model: "SlimModel") -> dict[str, Any]:
    """Return parameters, and FLOPs per sequence of 128 tokens."""
    from bertslim.model.shapes import LENGTH, flops, parameter_counts

    return {"parameters": parameter_counts(model).total, "flops": flops(model.config, LENGTH)}
