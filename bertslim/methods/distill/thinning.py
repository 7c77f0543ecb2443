"""Which directions to keep of states and of heads: linear algebra on sums of activations."""

import torch
from torch import Tensor

from bertslim.model.narrowing import HeadMaps

NEXT_TO_NOTHING = 1e-6
"""Of the largest singular value; smaller ones are not divided by."""


def strongest(energy: Tensor, count: int) -> list[int]:
    """Return the numbers of the `count` largest, in their own order."""
    return sorted(energy.argsort(descending=True, stable=True)[:count].tolist())


def principal_directions(gram: Tensor, count: int) -> tuple[Tensor, float]:
    """Return a basis of the directions with the most energy, and the share of it that they have.

    The basis is turned so that the weakest of these directions is the diagonal, where all channels
    are equal: it is what a LayerNorm takes away when it subtracts their mean.

    Args:
        gram: Sum of x x^T, (width, width), not centred: a LayerNorm's bias is energy, too.
        count: How many.

    Returns:
        (width, count) with orthonormal columns; and the share.
    """
    strength, directions = torch.linalg.eigh(gram)  # ascending
    kept = strength[-count:].sum() / strength.sum()
    basis = directions[:, -count:] @ _weakest_to_diagonal(count).to(gram)
    return basis.float(), float(kept)


def _weakest_to_diagonal(count: int) -> Tensor:
    """Return the reflection H = I - 2 w w^T / |w|^2 that maps e_1 to (1, ..., 1) / sqrt(count)."""
    w = torch.full((count,), -(count**-0.5), dtype=torch.float64)
    w[0] += 1
    identity = torch.eye(count, dtype=torch.float64)
    return identity if count == 1 else identity - 2 * torch.outer(w, w) / w.dot(w)


def thin_maps(
    queries: Tensor, keys: Tensor, contexts: Tensor, output: Tensor, size: int
) -> HeadMaps:
    """Find how the heads of a layer keep most of what they do with fewer channels.

    Args:
        queries: Sums Q of q q^T, (heads, head_dim, head_dim).
        keys: The same of keys, K.
        contexts: The same of contexts, C.
        output: The output projection by heads, W, (heads, hidden, head_dim).
        size: Channels of the thin heads.
    """
    # The sum of (q.k)^2 over all pairs is |Q^1/2 K^1/2|_F^2. With Q^1/2 K^1/2 = U S V^T, nearest is
    # q' = q K^1/2 V S^-1/2,  k' = k Q^1/2 U S^-1/2
    root_q, root_k = _root(queries), _root(keys)
    u, s, v = _leading(root_q @ root_k, size)
    # a head divides q.k by the root of its own width
    scale = (size / queries.shape[-1]) ** 0.5
    query, key = (scale * root_k @ v / s.sqrt(), root_q @ u / s.sqrt())
    # |W c|^2 in all is |W C^1/2|_F^2. With W C^1/2 = U S V^T, nearest is
    # c' = W^T U S^-1 (on c from the right),  W' = W C^1/2 V
    root_c, w = _root(contexts), output.double()
    u, s, v = _leading(w @ root_c, size)
    maps = (query, key, w.transpose(1, 2) @ u / s, root_c @ v)
    return HeadMaps(*(one.float() for one in maps))


def _root(gram: Tensor) -> Tensor:
    """Return the symmetric root of each of (heads, n, n)."""
    values, vectors = torch.linalg.eigh(gram)
    root: Tensor = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.transpose(1, 2)
    return root


def _leading(matrix: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (heads, m, count), S (heads, 1, count) and V (heads, n, count), the largest."""
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    floor = s[:, :1].clamp(min=1.0) * NEXT_TO_NOTHING
    v = vt.transpose(1, 2)
    return u[..., :count], s[:, None, :count].clamp(min=floor[:, None]), v[..., :count]
