"""Which heads are alike, so that one key and one value can serve them."""

import torch
from torch import Tensor

from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.sharing import attention_prefix, by_kv_head

TOLERANCE = 1e-9
"""Smaller gains are rounding."""


def like_heads_together(model: SlimBertPreTrainedModel, groups: int) -> dict[int, list[int]]:
    """Order each layer's key/value heads so that neighbours, in equal groups, are alike.

    Args:
        model: The predecessor.
        groups: In each layer.

    Returns:
        Layer -> heads in their new order.
    """
    tensors, orders = model.state_dict(), {}
    for number, layer in enumerate(layer_widths(model.config)):
        if layer.kv_heads:
            prefix = attention_prefix(model, number)
            parts = (tensors[f"{prefix}{part}.weight"] for part in ("key", "value"))
            alike = sum(likeness(by_kv_head(part, layer)) for part in parts)
            orders[number] = grouped(torch.as_tensor(alike).cpu(), groups)
    return orders


def likeness(heads: Tensor) -> Tensor:
    """Compare heads, (heads, head_dim, hidden): (heads, heads), 1 for those that are alike.

    The cosine of W_i and W_j after the best rotation of one of them: ||W_i W_j^T||_* / |W_i| |W_j|,
    the sum of singular values. Heads have bases of their own, of which the cosine as it is would
    tell.
    """
    w = heads.double()
    products = torch.einsum("idn,jen->ijde", w, w)  # (heads, heads, head_dim, head_dim)
    norms = w.flatten(1).square().sum(1).sqrt()
    # a head of zeros, of a padded twin, is like none
    lengths = (norms[:, None] * norms).clamp_min(torch.finfo(w.dtype).tiny)
    cosines: Tensor = torch.linalg.svdvals(products).sum(-1) / lengths
    return cosines


def grouped(alike: Tensor, groups: int) -> list[int]:
    """Order heads into equal groups of high likeness within: from neighbours on, by swapping two.

    Each swap is the best there is; it stops when none makes the groups more alike.

    Args:
        alike: (heads, heads), symmetric.
        groups: Of equal size.
    """
    count = len(alike)
    order, size = list(range(count)), count // groups
    place = torch.arange(count) // size
    apart = place[:, None] != place
    while True:
        a = alike[order][:, order].fill_diagonal_(0)
        to_group = a @ torch.eye(groups, dtype=a.dtype)[place]  # (heads, groups)
        # moving i to the group of j, and j to that of i; the two are not in one group afterwards
        gain = to_group[:, place] - to_group.gather(1, place[:, None])
        gain = torch.where(apart, gain + gain.T - 2 * a, -torch.inf)
        best = int(gain.argmax())
        if not gain.flatten()[best] > TOLERANCE:
            break
        i, j = divmod(best, count)
        order[i], order[j] = order[j], order[i]
    found = sorted(sorted(order[start : start + size]) for start in range(0, count, size))
    return [head for group in found for head in group]
