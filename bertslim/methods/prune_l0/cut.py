"""From learnt gates to what goes, what stays, and with which value."""

from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor

from bertslim.errors import TrainingError
from bertslim.methods.prune_l0.gates import PerKind
from bertslim.methods.prune_l0.hard_concrete import settled
from bertslim.methods.prune_l0.settings import Kind, Target
from bertslim.methods.prune_l0.sparsity import sparsity
from bertslim.model.configuration import SlimBertConfig

LEAST_KEPT = 0.01
"""Value of a gate that is closed by its own rule but kept, for a multiple or for the target.

It was all but closed while the gates were learnt, and recovery can open it again.
"""

ROUNDING = 1e-9
"""A sparsity that is short of the target by no more than this meets it."""

NAMES: dict[Kind, str] = {"heads": "head", "ffn": "FFN unit", "hidden": "hidden channel"}


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What is left.

    Attributes:
        values: Settled gates; 0 for what goes.
        threshold: log alpha of the last gate to go, before widths are rounded; None if none goes.
    """

    values: PerKind
    threshold: float | None


def cut(config: SlimBertConfig, log_alpha: PerKind, multiple: int, target: Target | None) -> Cut:
    """Decide which gates close for good.

    All gates stand in a row by log alpha. Without a target those go whose settled value is 0. With
    one, the fewest from the lower end go that meet it once widths are rounded.

    Args:
        config: The model's.
        log_alpha: What was learnt.
        multiple: FFN and hidden widths become multiples of it, unless they stay as they are.
        target: How much is to go.

    Raises:
        TrainingError: If nothing of a kind would be left in the whole model.
    """
    row = torch.cat([layer for layers in log_alpha.values() for layer in layers]).sort().values
    closed = int((settled(row) == 0).sum())
    if target is not None:
        # groups of heads that become uneven take copies of their keys, and the size may rise: there
        # a count is found that just meets the target, though perhaps not the first that does
        closed = bisect_left(
            range(len(row)),
            target.sparsity - ROUNDING,
            key=lambda n: sparsity(target.of, config, kept_without(n, config, log_alpha, multiple)),
        )
    kept = kept_without(closed, config, log_alpha, multiple)
    _refuse_what_is_empty(kept, "--penalty" if target is None else "--target-sparsity")
    values = {
        kind: [
            settled(a).clamp(min=LEAST_KEPT) * k for a, k in zip(layers, kept[kind], strict=True)
        ]
        for kind, layers in log_alpha.items()
    }
    return Cut(values, float(row[closed - 1]) if closed else None)


def kept_without(
    closed: int, config: SlimBertConfig, log_alpha: PerKind, multiple: int
) -> dict[Kind, list[Tensor]]:
    """Return what is left, as masks, when so many gates with the least log alpha go.

    Of gates with equal log alpha, such as those at the limit, the first ones go.
    """
    layers = [layer for layers in log_alpha.values() for layer in layers]
    owners = torch.cat([torch.full((len(layer),), n) for n, layer in enumerate(layers)])
    order = torch.cat(layers).cpu().sort(stable=True).indices
    gone = torch.bincount(owners[order[:closed]], minlength=len(layers)).tolist()
    masks = iter(zip(layers, gone, strict=True))
    kept: dict[Kind, list[Tensor]] = {}
    for kind, members in log_alpha.items():
        pairs = [next(masks) for _ in members]
        kept[kind] = [
            _highest(layer, _width(kind, config, len(layer), len(layer) - lost, multiple))
            for layer, lost in pairs
        ]
    return kept


def _width(kind: Kind, config: SlimBertConfig, whole: int, left: int, multiple: int) -> int:
    """Round a width to a multiple; what has open gates keeps some."""
    if kind == "heads" or left in (0, whole):
        return left
    width = min(whole, max(1, round(left / multiple)) * multiple)
    # this width of the hidden state would stand for embeddings without a projection
    if kind == "hidden" and width == config.embedding_size != whole:
        return min(whole, width + multiple)
    return width


def _highest(log_alpha: Tensor, count: int) -> Tensor:
    """Mask of so many gates with the largest log alpha; the last ones of equals."""
    mask = torch.zeros(len(log_alpha), dtype=torch.bool)
    mask[log_alpha.cpu().sort(stable=True).indices[len(log_alpha) - count :]] = True
    return mask.to(log_alpha.device)


def _refuse_what_is_empty(kept: PerKind, flag: str) -> None:
    empty = [NAMES[kind] for kind, layers in kept.items() if not any(bool(m.any()) for m in layers)]
    if empty:
        raise TrainingError(
            f"no {' and no '.join(empty)} would be left in the whole model",
            f"lower {flag}, or let --gates have more kinds",
        )
