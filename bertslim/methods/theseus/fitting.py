"""The key and the value that serve several heads best: least squares instead of a mean.

A mean of keys is no head's key: each head has a basis of its own. But whatever key the heads of a
group are to share, each query can be mapped so as to make the most of it, and the best key together
with its maps has a closed form. So it is with values and the columns of the output.

Tensors of a layer are seen by query head: queries, keys, values, and columns of the output are
(heads, head_dim, hidden).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bertslim.methods.theseus.moments import Moments
from bertslim.model.configuration import LayerWidths, layer_widths, with_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt
from bertslim.model.sharing import attention_prefix

Weights = Mapping[str, Tensor]


def fit_kv_heads(
    model: SlimBertPreTrainedModel, kv_heads: int, moments: Sequence[Moments]
) -> SlimBertPreTrainedModel:
    """Let neighbouring heads share the keys and values that change the attention least.

    Args:
        model: Any canonical model.
        kv_heads: How many are left in each layer; divides those that are there.
        moments: Of every layer's input.
    """
    widths, tensors = list(layer_widths(model.config)), dict(model.state_dict())
    for number, layer in enumerate(widths):
        if layer.kv_heads:
            prefix = attention_prefix(model, number)
            old = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            new = fitted_attention(old, layer, kv_heads, moments[number])
            tensors |= {prefix + name: tensor.to(tensors[prefix + name]) for name, tensor in new}
            widths[number] = replace(layer, kv_heads=kv_heads)
    return rebuilt(model, with_widths(model.config, widths), tensors)


def fitted_attention(
    old: Weights, layer: LayerWidths, kv_heads: int, moments: Moments
) -> list[tuple[str, Tensor]]:
    """Return the weights of a layer's attention with fewer key/value heads.

    What all scores of a query have in common moves no softmax, so keys need no bias. A softmax sums
    to 1, so what a head says whatever it attends to moves into the bias of the output.
    """
    q, k, v = (by_head(old[f"{part}.weight"], layer) for part in ("query", "key", "value"))
    o = by_head(old["output.weight"].T, layer)
    q_bias, v_bias = (by_head(old[f"{part}.bias"], layer) for part in ("query", "value"))
    roots, mean = moments.roots(), moments.mean[:, None]

    keys, maps = fitted(k, moments.second_moment(q, q_bias), kv_heads, roots)
    queries, query_bias = maps @ q, maps @ q_bias
    values, maps = fitted(v, o @ o.transpose(1, 2), kv_heads, roots)
    columns = maps @ o
    # what the heads say on average, before and after
    said = (o * (v @ mean + v_bias)).sum((0, 1))
    says = (columns * (values @ mean).repeat_interleave(len(o) // kv_heads, 0)).sum((0, 1))

    flat = {"query": queries, "key": keys, "value": values}
    nothing = torch.zeros(kv_heads * layer.head_dim)
    return [
        *((f"{part}.weight", tensor.flatten(0, 1)) for part, tensor in flat.items()),
        ("output.weight", columns.flatten(0, 1).T),
        ("query.bias", query_bias.flatten()),
        ("key.bias", nothing),
        ("value.bias", nothing),
        ("output.bias", old["output.bias"].cpu() + said - says),
    ]


def by_head(rows: Tensor, layer: LayerWidths) -> Tensor:
    """See weights or a bias by query head, float64; what heads share is there for each."""
    heads = len(rows) // layer.head_dim
    tensor = rows.cpu().double().reshape(heads, layer.head_dim, -1)
    return tensor.repeat_interleave(layer.heads // heads, dim=0)


def fitted(
    weights: Tensor, grams: Tensor, groups: int, roots: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Find the shared weights M of each group of heads, and each head's map T_h onto them.

    With y_h = W_h (x - mu), C the covariance of x, and A_h = E a a^T of what y_h is multiplied by,

        sum_h E |a^T y_h - a^T T_h^T M (x - mu)|^2

    is least for M = U^T C^(-1/2) and T_h = U^T C^(1/2) W_h^T, where U are the first eigenvectors of
    sum_h (W_h C^(1/2))^T A_h (W_h C^(1/2)).

    Args:
        weights: W, (heads, head_dim, hidden).
        grams: A, (heads, head_dim, head_dim).
        groups: How many M.
        roots: C^(1/2) and C^(-1/2).

    Returns:
        M, (groups, head_dim, hidden), its rows as long as those of W on average, and T, (heads,
        head_dim, head_dim), as fits.
    """
    root, inverse = roots
    shared, maps = [], []
    for w, a in zip(weights.chunk(groups), grams.chunk(groups), strict=True):
        seen = w @ root  # (heads of the group, head_dim, hidden)
        total = (seen.transpose(1, 2) @ a @ seen).sum(0)
        u = torch.linalg.eigh(total).eigenvectors[:, -w.shape[1] :]
        m = u.T @ inverse
        scale = (w.square().sum(-1).sqrt().mean() / m.square().sum(-1).sqrt())[:, None]
        shared.append(m * scale)
        maps.append(u.T @ root @ w.transpose(1, 2) / scale)
    return torch.stack(shared), torch.cat(maps)
