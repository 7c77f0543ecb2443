"""What each unit is worth once the others have taken over what they can of its work.

The Optimal Brain Surgeon (Hassibi and Stork 1993) asks how much the loss rises if a weight goes and
all others are set anew as well as can be. Here whole units go, and the curvature is that of K-FAC
(Martens and Grosse 2015), as in the LLM Surgeon (van der Ouderaa et al. 2024).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bertslim.console import track
from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.gradients import observed
from bertslim.methods.prune_heads.losses import answer_loss
from bertslim.methods.prune_heads.parts import Part, channels_of, output_of, parts_of, units_in
from bertslim.methods.prune_heads.worth import Ranking, best_first
from bertslim.model.modeling import SlimBertPreTrainedModel

DAMPING = 1e-3
"""What is added to A's diagonal, as a share of its mean: dead channels have no inverse."""
LEAST_DAMPING = 1e-12
"""What is added where all channels are dead."""
STEPS = 128
"""FFN units go in about so many steps, whatever their number."""


@dataclass(slots=True, eq=False)
class Curvature:
    """The Fisher information of one output projection, y = W a: F = E[T] A (x) G.

    Attributes:
        inputs: Sum over tokens of a a^T, (units * channels)^2.
        outputs: Sum over tokens of dL/dy dL/dy^T, (hidden)^2.
        tokens: How many.
        examples: In how many examples.
    """

    inputs: Tensor
    outputs: Tensor
    tokens: int = 0
    examples: int = 0

    def add(self, inputs: Tensor, gradients: Tensor, examples: int) -> None:
        """Take in the tokens of some examples: (tokens, units * channels), (tokens, hidden)."""
        self.inputs += inputs.T @ inputs
        self.outputs += gradients.T @ gradients
        self.tokens += len(inputs)
        self.examples += examples

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return A = E[a a^T], damped, and E[T] G = E[T] E[dL/dy dL/dy^T], in float64."""
        a = self.inputs.double() / self.tokens
        # a part that nothing reaches can be solved for, too, and is worth nothing
        a.diagonal().add_(DAMPING * float(a.diagonal().mean().nan_to_num()) or LEAST_DAMPING)
        return a, self.outputs.double() / self.examples


def surgeon_rankings(
    model: SlimBertPreTrainedModel, evidence: Evidence, seed: int, limits: Limits
) -> dict[Part, Ranking]:
    """Rank the units of each part by what the loss rises when the worst go, the others adapting.

    Args:
        model: It is left as it is.
        evidence: Examples; of their labels only the places count.
        seed: Of the answers that are drawn from the model.
        limits: What may be narrowed, the rest is not ranked; and how many FFN units go together.
    """
    found = {p: best_first(torch.zeros(units_in(model.config, p))) for p in parts_of(model.config)}
    curvatures, multiple = curvature_of(model, evidence, seed), limits.multiple
    for part in track([p for p in found if p.kind in limits.kinds], "weighing units"):
        weight = output_of(model, part).weight.detach()
        a, g = curvatures.pop(part).factors()
        step = 1 if part.kind == "heads" else multiple * max(1, len(a) // STEPS // multiple)
        found[part] = ranked(weight, a, g, channels_of(model.config, part), step)
    return found


def curvature_of(
    model: SlimBertPreTrainedModel, evidence: Evidence, seed: int
) -> dict[Part, Curvature]:
    """Sum up the curvature of every output projection; memory does not grow with the examples."""
    found: dict[Part, Curvature] = {}
    for part in parts_of(model.config):
        weight = output_of(model, part).weight
        hidden, channels = weight.shape
        squares = weight.new_zeros(channels, channels), weight.new_zeros(hidden, hidden)
        found[part] = Curvature(squares[0], squares[1])
    for batch in observed(model, evidence, answer_loss(seed), "scoring"):
        for part, seen in batch.items():
            real = seen.real
            found[part].add(seen.inputs[real], seen.gradients[real], len(real))
    return found


def ranked(weight: Tensor, a: Tensor, g: Tensor, channels: int, step: int) -> Ranking:
    """Remove the worst units again and again until none is left.

    With H = A^-1, H_uu the block of unit u and W_u its columns, removing u raises the loss by

        E_u = tr(G W_u H_uu^-1 W_u^T) / 2

    and the others take over by W <- W - W_u H_uu^-1 H_u, H <- H - H_u^T H_uu^-1 H_u. Units that go
    at the same step are chosen by the E of each, and counted by that of all of them together.

    Args:
        weight: W, (hidden, units * channels).
        a: A, damped.
        g: G.
        channels: Of a unit; they are neighbours.
        step: Units to remove at a time; the first step leaves a multiple of it.

    Returns:
        The order, and minus the rise of the loss, on straight lines between the steps.
    """
    count = len(a) // channels
    # H beside W^T, in coordinates in which G is the identity: one update serves both
    state = torch.cat([torch.linalg.inv(a), weight.T.double() @ _root(g)], dim=1)
    left, gone = torch.arange(count, device=a.device), list[Tensor]()
    worth = {count: 0.0}
    while len(left):
        rises = _rises(state, channels)  # (units left,)
        worst = rises.argsort()[: len(left) % step or step]
        state, rise = _without(state, _channels(worst, channels))
        gone.append(left[worst].flip(0))
        left = left[_all_but(worst, len(left))]
        worth[len(left)] = worth[len(left) + len(worst)] - rise
    known = sorted(worth)
    between = np.interp(np.arange(count + 1), known, [worth[width] for width in known])
    return Ranking(torch.cat([*gone[::-1], left]).cpu(), between)


def _root(g: Tensor) -> Tensor:
    """Return R with R R^T = G; what G has of negative eigenvalues is rounding."""
    values, vectors = torch.linalg.eigh(g)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root


def _rises(state: Tensor, channels: int) -> Tensor:
    """Return E_u of each unit that is left; `state` is (n, n + hidden), of n channels."""
    n = len(state)
    blocks = state[:, :n].view(n // channels, channels, n // channels, channels)
    h = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (units, channels, channels)
    w = state[:, n:].view(n // channels, channels, -1)  # (units, channels, hidden)
    rises: Tensor = (torch.linalg.solve(h, w) * w).sum(dim=(1, 2)) / 2
    return rises


def _without(state: Tensor, gone: Tensor) -> tuple[Tensor, float]:
    """Remove channels from `state`; return the rest, and E of all of them together."""
    n = len(state)
    taken = torch.linalg.solve(state[gone][:, gone], state[gone])  # (gone, n + hidden)
    rise = float((taken[:, n:] * state[gone, n:]).sum()) / 2
    rest = _all_but(gone, n)
    kept = torch.cat([rest, torch.arange(n, state.shape[1], device=state.device)])
    return state[rest][:, kept] - state[rest][:, gone] @ taken[:, kept], rise


def _channels(units: Tensor, channels: int) -> Tensor:
    return (units[:, None] * channels + torch.arange(channels, device=units.device)).flatten()


def _all_but(gone: Tensor, count: int) -> Tensor:
    mask = torch.ones(count, dtype=torch.bool, device=gone.device)
    mask[gone] = False
    return mask.nonzero().flatten()
