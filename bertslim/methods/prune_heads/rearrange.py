"""Which units of a part go, once it is known how many (Kwon et al. 2022, section 4.2)."""

from torch import Tensor

TOLERANCE = 1e-12
"""A swap has to gain more than this part of what all units could."""


def rearranged(gradients: Tensor, kept: Tensor) -> tuple[Tensor, int]:
    """Swap kept units for removed ones as long as that makes the loss rise less.

    With the Fisher information of the whole part instead of its diagonal, units that go together do
    not each count alone: what one does, another may undo.

        || sum_{i removed} g_i ||^2 -> min,     g_i = dL/dm_i of all examples

    Each swap is the best one of all; as many units stay as before.

    Args:
        gradients: (examples, units), the g_i as columns.
        kept: (units,), True for those that stay.

    Returns:
        As `kept`, and the number of swaps.
    """
    f = (gradients.T @ gradients).double()  # (units, units), F = G^T G
    kept, swaps = kept.clone(), 0
    if kept.all() or not kept.any():
        return kept, swaps
    least, own = TOLERANCE * float(f.diagonal().sum()), f.diagonal()
    with_removed = f[:, ~kept].sum(dim=1)  # F_i1 + F_i2 + ... over the removed
    while True:
        back, out = (~kept).nonzero().flatten(), kept.nonzero().flatten()
        # what the norm gains from i in `out` leaving and j in `back` returning: (out, back)
        change = (2 * with_removed + own)[out, None] + (own - 2 * with_removed)[back]
        change -= 2 * f[out][:, back]
        best = int(change.argmin())
        if change.flatten()[best] >= -least:
            return kept, swaps
        leaving, returning = out[best // len(back)], back[best % len(back)]
        kept[leaving], kept[returning] = False, True
        with_removed += f[:, leaving] - f[:, returning]
        swaps += 1
