"""Gates that are closed, open or in between by chance (Louizos, Welling and Kingma 2018).

All functions take log alpha, the location of each gate, in any shape.
"""

import math

import torch
from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""Temperature, and the ends that the concrete distribution is stretched to (paper §4)."""

LOG_ALPHA_LIMIT = math.log(100)
"""log alpha stays within +- this, as in the authors' code: a gate at an end can still move."""

LEAST_U = 1e-6
"""u is drawn from [this, 1 - this]."""


def sample(log_alpha: Tensor) -> Tensor:
    """Draw gates from torch's generator.

    s = sigmoid((log u - log(1 - u) + log alpha) / beta), u ~ U(0, 1) (eq. 10),
    z = min(1, max(0, s (zeta - gamma) + gamma)) (eq. 11).
    """
    u = torch.empty_like(log_alpha).uniform_(LEAST_U, 1 - LEAST_U)
    s = torch.sigmoid((torch.logit(u) + log_alpha) / BETA)
    return _stretched(s)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z > 0) = sigmoid(log alpha - beta log(-gamma / zeta)) (eq. 12)."""
    return torch.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def settled(log_alpha: Tensor) -> Tensor:
    """Return the gate of a finished model (eq. 13): z = min(1, max(0, sigmoid(log alpha) ...)).

    There is no 1 / beta here: this is neither the mean nor the median of the samples.
    """
    return _stretched(torch.sigmoid(log_alpha))


def _stretched(s: Tensor) -> Tensor:
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
