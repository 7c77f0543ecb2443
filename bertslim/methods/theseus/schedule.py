"""When modules are replaced: the rate at each step, and the draws (Xu et al. 2020, section 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CURRICULA: Mapping[str, Callable[[float, float], float]] = {
    # p_d = min(1, k t + b)
    "linear": lambda b, share: b + (1 - b) * share,
    "constant": lambda b, _: b,
    # the line upside down: from 1 down to b
    "anti": lambda b, share: 1 - (1 - b) * share,
}
"""The rate p by name, from b and min(1, t / full_at): k = (1 - b) / full_at."""

DRAW = 1
"""Keeps these random numbers apart from those that a step's batch is prepared with."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rate at which modules are replaced, step by step."""

    curriculum: str
    """One of `CURRICULA`."""
    rate: float
    """b."""
    full_at: int
    """The step at which the line ends; no part of a constant rate."""
    steps: int
    """Of the replacing phase. From then on the successor is alone."""

    def at(self, step: int) -> float:
        """Return p at a step, counted from 0."""
        if step >= self.steps:
            return 1.0
        return CURRICULA[self.curriculum](self.rate, min(1.0, step / self.full_at))

    def drawn(self, step: int, modules: int, seed: int) -> npt.NDArray[np.bool_]:
        """Draw which modules a batch finds replaced: r_i ~ Bernoulli(p), (modules,).

        The draws follow from the seed and the step alone. All parts of a batch, on all processes,
        meet the same modules, and a resumed run has nothing to remember.
        """
        random = np.random.default_rng([seed, step, DRAW])
        return random.random(modules) < self.at(step)
