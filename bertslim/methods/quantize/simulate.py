"""A model that computes as its int8 graph will, in PyTorch, with the weights that it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertslim.methods.quantize.grid import Grid, Scheme, rounded_rows
from bertslim.methods.quantize.observe import PRODUCTS, linear_layers
from bertslim.methods.quantize.units import attention_paths, table_path
from bertslim.model.layers import Attention
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import PROBABILITIES, Quantization


@contextmanager
def simulated(
    model: SlimBertPreTrainedModel, quantization: Quantization, scheme: Scheme
) -> Iterator[None]:
    """Round inside the context what the graph rounds; the model's parameters stay its own.

    Training inside the context trains them, with the gradient going straight through.

    Args:
        model: Whose linear layers, attentions and word embeddings are replaced for a while.
        quantization: Which of them, and the ranges.
        scheme: Of activations.
    """
    replaced: dict[str, nn.Module] = {}

    def replace(path: str, new: nn.Module) -> None:
        replaced[path] = model.get_submodule(path)
        model.set_submodule(path, new.train(replaced[path].training))

    try:
        layers = linear_layers(model)
        for path, found in quantization.inputs.items():
            s = quantization.smoothing.get(path)
            replace(path, Int8Linear(layers[path], Grid.over(found, scheme), s))
        for path in attention_paths(quantization):
            ranges = [quantization.products[f"{path}.{part}"] for part in PRODUCTS]
            grids = [Grid.over(found, scheme) for found in (*ranges, PROBABILITIES)]
            replace(path, Int8Attention(cast("Attention", model.get_submodule(path)), grids))
        if quantization.embedding:
            table = model.encoder.embeddings.word_embeddings
            replace(table_path(model), Int8Embedding(table))
        yield
    finally:
        for path, original in reversed(replaced.items()):
            model.set_submodule(path, original)


class Int8Linear(nn.Module):
    """A linear layer whose input and weights are rounded; while evaluating, the latter once."""

    smoothing: Tensor | None

    def __init__(self, layer: nn.Linear, grid: Grid, smoothing: tuple[float, ...] | None) -> None:
        super().__init__()
        self.weight, self.bias, self.grid = layer.weight, layer.bias, grid
        s = None if smoothing is None else self.weight.new_tensor(smoothing)  # (in,)
        self.register_buffer("smoothing", s, persistent=False)
        self.frozen: Tensor | None = None

    def train(self, mode: bool = True) -> "Int8Linear":
        """Round the weights now, and not at every call, unless they are about to change."""
        super().train(mode)
        with torch.no_grad():
            self.frozen = None if mode else self.rounded_weight()
        return self

    def rounded_weight(self) -> Tensor:
        """Return W * s on the grid of each output: (out, in)."""
        return rounded_rows(self.weight if self.smoothing is None else self.weight * self.smoothing)

    def forward(self, x: Tensor) -> Tensor:
        """(x / s) (W * s)^T + b, both rounded: (..., in) -> (..., out)."""
        if self.smoothing is not None:
            x = x / self.smoothing
        weight = self.rounded_weight() if self.frozen is None else self.frozen
        return functional.linear(self.grid.rounded(x), weight, self.bias)


class Int8Embedding(nn.Module):
    """A word embedding table with a grid for each word."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.weight, self.padding_idx = table.weight, table.padding_idx

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, length) -> (batch, length, width)."""
        return rounded_rows(functional.embedding(ids, self.weight, self.padding_idx))


class Int8Attention(nn.Module):
    """An attention whose two inner products have rounded factors: Q / sqrt(d), K, P and V."""

    def __init__(self, attention: Attention, grids: list[Grid]) -> None:
        super().__init__()
        self.query, self.key, self.value = attention.query, attention.key, attention.value
        self.output, self.probs_dropout = attention.output, attention.probs_dropout
        self.heads, self.head_dim, self.grids = attention.heads, attention.head_dim, grids

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        bias: Tensor | None,
        gate: Tensor | None,
        want_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """As `Attention.forward`."""
        q_grid, k_grid, v_grid, p_grid = self.grids
        q = self.split(q_grid.rounded(self.query(x) * self.head_dim**-0.5))
        k = self.split(k_grid.rounded(self.key(memory)))
        v = self.split(v_grid.rounded(self.value(memory)))
        scores = q @ k.transpose(2, 3)  # (batch, heads, targets, length)
        p = (scores if bias is None else scores + bias).softmax(-1)
        context = self.probs_dropout(p_grid.rounded(p)) @ v
        if gate is not None:
            context = context * gate[..., None, None]
        output = self.output(context.transpose(1, 2).flatten(2))
        return output, scores if want_scores else None

    def split(self, x: Tensor) -> Tensor:
        """(batch, length, heads * head_dim) -> (batch, heads, length, head_dim), if shared copied.

        K/V head k serves the query heads k * group ... + group - 1.
        """
        split = x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
        return split.repeat_interleave(self.heads // split.shape[1], dim=1)
