"""What each unit is worth by the gradients of its gate alone."""

from collections.abc import Mapping

from torch import Tensor

from bertslim.methods.prune_heads.parts import Part
from bertslim.methods.prune_heads.worth import Ranking, best_first


def fisher_rankings(gradients: Mapping[Part, Tensor]) -> dict[Part, Ranking]:
    """Rank by the diagonal of the empirical Fisher information (Kwon et al. 2022, section 4.1).

    I_i = sum_x (dL(x) / dm_i)^2, to which the rise of the loss without unit i is proportional. The
    square is taken example by example; the paper's code takes it of the mean over each batch.

    Args:
        gradients: Per part (examples, units), dL(x) / dm.
    """
    return {part: best_first(g.double().square().sum(dim=0)) for part, g in gradients.items()}


def gradient_rankings(gradients: Mapping[Part, Tensor]) -> dict[Part, Ranking]:
    """Rank by I_i = E_x | dL(x) / dm_i |, L2 norm 1 in each part (Michel et al. 2019)."""
    found = {}
    for part, g in gradients.items():
        importance = g.double().abs().mean(dim=0)  # (units,)
        norm = importance.norm()
        found[part] = best_first(importance / norm if norm > 0 else importance)
    return found
