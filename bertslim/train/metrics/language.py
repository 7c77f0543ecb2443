"""Masked words: how many were guessed, and how surprised the model was by the others."""

import numpy as np
import numpy.typing as npt

Losses = npt.NDArray[np.float64]
"""Per chunk: summed negative log-likelihood (nats), words guessed right, words masked:
(chunks, 3)."""


def masked_accuracy(losses: Losses) -> float:
    """Return the share of masked words that were guessed."""
    _, right, masked = losses.sum(axis=0)
    return float(right / max(masked, 1))


def perplexity(losses: Losses) -> float:
    """Return the exponential of the mean negative log-likelihood; lower is better."""
    surprise, _, masked = losses.sum(axis=0)
    return float(np.exp(min(surprise / max(masked, 1), 700)))
