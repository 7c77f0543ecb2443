"""Where the activations of a model have their energy, on some rows of real text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers.activations import ACT2FN

from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.narrowing import Norm, state_norms
from bertslim.model.signature import INPUTS
from bertslim.train.batching import collate
from bertslim.train.prediction import row_batches

ROWS_AT_ONCE = 32

Watcher = Callable[[Tensor, Tensor], None]
"""Is told the input and the output of a module, (tokens, width) each, padding left out."""


@dataclass(frozen=True, slots=True)
class Energies:
    """Sums over all real tokens, in float64.

    Attributes:
        states: x x^T of all hidden states, (hidden, hidden).
        queries: Per layer q q^T, (heads, head_dim, head_dim).
        keys: The same of keys, (key/value heads, head_dim, head_dim).
        contexts: The same of what heads hand to the output projection.
        units: Per layer the squares of the feed-forward part's units, (intermediate,).
        pooled: Variance of the pooler's units at first tokens, (hidden,); None without a pooler.
    """

    states: Tensor
    queries: Sequence[Tensor]
    keys: Sequence[Tensor]
    contexts: Sequence[Tensor]
    units: Sequence[Tensor]
    pooled: Tensor | None


@dataclass(slots=True)
class Sum:
    """A sum of tensors, as they come."""

    total: Any = 0.0
    count: int = 0

    def add(self, value: Tensor, count: int = 0) -> None:
        """Add to it."""
        self.total, self.count = self.total + value, self.count + count


@dataclass(slots=True)
class Moments:
    """First and second moments of two aligned (tokens, width) arrays, channel by channel."""

    a: Sum = field(default_factory=Sum)
    b: Sum = field(default_factory=Sum)
    aa: Sum = field(default_factory=Sum)
    ab: Sum = field(default_factory=Sum)

    def add(self, a: Tensor, b: Tensor) -> None:
        """Take in more tokens."""
        a, b = a.double(), b.double()
        self.a.add(a.sum(0), len(a))
        self.b.add(b.sum(0))
        self.aa.add((a * a).sum(0))
        self.ab.add((a * b).sum(0))

    def variance(self) -> Tensor:
        """Return that of `a`, (width,)."""
        n = self.a.count
        variance: Tensor = self.aa.total / n - (self.a.total / n).square()
        return variance.clamp(min=0)

    def line(self) -> Norm:
        """Return slope and intercept of the line from `a` to `b`, by least squares."""
        n, variance = self.a.count, self.variance()
        mean_a, mean_b = self.a.total / n, self.b.total / n
        covariance = self.ab.total / n - mean_a * mean_b
        slope = torch.where(variance > 0, covariance / variance.clamp(min=1e-12), 0.0)
        return Norm(slope.float(), (mean_b - slope * mean_a).float())


def energies(model: SlimBertPreTrainedModel, rows: Dataset) -> Energies:
    """Run encoded rows through a model and see where its activations are large."""
    config, part = model.config, model.encoder.get_submodule
    depth, dim = config.num_hidden_layers, config.head_dim
    states, pooled = Sum(), Moments()
    watchers: dict[nn.Module, Watcher] = {
        module: lambda _, x: states.add(_gram(x)) for module in _state_makers(model)
    }
    widths = layer_widths(config)
    # a layer without heads runs none of their products, and has sums without any, too
    queries, contexts = ([_nothing(model, w.heads) for w in widths] for _ in range(2))
    keys, units = [_nothing(model, w.kv_heads) for w in widths], [Sum() for _ in widths]
    for n in range(depth):
        attention = f"layers.{n}.attention"
        watchers[part(f"{attention}.query")] = _outputs_of_heads(queries[n], dim)
        watchers[part(f"{attention}.key")] = _outputs_of_heads(keys[n], dim)
        watchers[part(f"{attention}.output")] = _inputs_of_heads(contexts[n], dim)
        watchers[part(f"layers.{n}.ffn.output")] = _squares_of_inputs(units[n])
    if config.pooler_activation:
        act = ACT2FN[config.pooler_activation]
        watchers[part("pooler")] = lambda _, x: pooled.add(act(x), act(x))
    watch(model, rows, watchers)
    return Energies(
        states.total,
        [one.total for one in queries],
        [one.total for one in keys],
        [one.total for one in contexts],
        [one.total for one in units],
        pooled.variance() if pooled.a.count else None,
    )


def narrow_norms(model: SlimBertPreTrainedModel, basis: Tensor, rows: Dataset) -> dict[str, Norm]:
    """Fit to each LayerNorm of a model one that does the same in the channels of a basis.

    With u the input and y the output of a LayerNorm, the narrow model has u P, and is to make y P
    of it. What a LayerNorm does before its weight and bias is fixed, so that these two are a line
    per channel, found by least squares.

    Args:
        model: In evaluation mode.
        basis: P, (hidden, new hidden).
        rows: Encoded rows.

    Returns:
        By the names of `state_norms`.
    """
    norms, eps = state_norms(model), model.config.layer_norm_eps
    moments = {name: Moments() for name in norms}

    def add(name: str, u: Tensor, y: Tensor) -> None:
        normed = nn.functional.layer_norm(u @ basis, (basis.shape[1],), eps=eps)
        moments[name].add(normed, y @ basis)

    watch(model, rows, {norm: partial(add, name) for name, norm in norms.items()})
    return {name: found.line() for name, found in moments.items()}


def watch(
    model: SlimBertPreTrainedModel, rows: Dataset, watchers: Mapping[nn.Module, Watcher]
) -> None:
    """Run encoded rows through a model, all layers whole, and tell what modules take and give."""
    device = next(model.parameters()).device
    mask = torch.ones(0)

    def tell(watcher: Watcher, _module: nn.Module, given: Any, made: Tensor) -> None:
        # the pooler's are one per text
        watcher(*(x[mask] if x.ndim == 3 else x for x in (given[0], made)))

    hooks = [
        module.register_forward_hook(partial(tell, watcher)) for module, watcher in watchers.items()
    ]
    try:
        for some in row_batches(rows, ROWS_AT_ONCE, None, "looking at activations"):
            batch = collate(some, model.config.padding_id)
            inputs = {n: torch.from_numpy(batch[n]).to(device) for n in INPUTS if n in batch}
            mask = inputs["attention_mask"].bool()
            with torch.no_grad():
                model.encoder(**inputs, output_hidden_states=True)
    finally:
        for hook in hooks:
            hook.remove()


def _state_makers(model: SlimBertPreTrainedModel) -> list[nn.Module]:
    """Modules whose outputs are hidden states."""
    projection = model.encoder.get_submodule("embeddings.projection")
    more = [projection] if isinstance(projection, nn.Linear) else []
    return [*state_norms(model).values(), *more]


def _nothing(model: SlimBertPreTrainedModel, heads: int) -> Sum:
    """Return a sum of grams of heads to begin with, (heads, head_dim, head_dim)."""
    dim, device = model.config.head_dim, next(model.parameters()).device
    return Sum(torch.zeros(heads, dim, dim, dtype=torch.float64, device=device))


def _gram(x: Tensor) -> Tensor:
    """Sum x x^T over (tokens, width)."""
    return (x.T @ x).double()


def _gram_of_heads(x: Tensor, head_dim: int) -> Tensor:
    """Sum x x^T over (tokens, heads * head_dim) for each head: (heads, head_dim, head_dim)."""
    by_head = x.view(len(x), -1, head_dim)
    return torch.einsum("thd,the->hde", by_head, by_head).double()


def _outputs_of_heads(sums: Sum, head_dim: int) -> Watcher:
    return lambda _, x: sums.add(_gram_of_heads(x, head_dim))


def _inputs_of_heads(sums: Sum, head_dim: int) -> Watcher:
    return lambda x, _: sums.add(_gram_of_heads(x, head_dim))


def _squares_of_inputs(sums: Sum) -> Watcher:
    return lambda x, _: sums.add(x.square().sum(0).double())
