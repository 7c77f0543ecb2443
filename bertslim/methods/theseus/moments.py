"""What a layer reads, in two moments: mean and covariance of its tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.signature import INPUTS
from bertslim.train.batching import collate
from bertslim.train.examples import Examples
from bertslim.train.prediction import row_batches

MOST_ROWS, ROWS_AT_ONCE = 512, 32
LEAST = 1e-8
"""Variance, as a share of the largest, below which a direction counts as unused."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of a layer's input x, padding left out; float64."""

    mean: Tensor
    """mu = E x, (hidden,)."""
    covariance: Tensor
    """C = E (x - mu)(x - mu)^T, (hidden, hidden)."""

    def roots(self) -> tuple[Tensor, Tensor]:
        """Return C^(1/2) and C^(-1/2), (hidden, hidden)."""
        values, vectors = torch.linalg.eigh(self.covariance)
        values = values.clamp_min(float(values[-1]) * LEAST)
        return vectors * values.sqrt() @ vectors.T, vectors * values.rsqrt() @ vectors.T

    def second_moment(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Return E y y^T of y = W x + b, (heads, outputs, outputs).

        Args:
            weight: W, (heads, outputs, hidden).
            bias: b, (heads, outputs, 1).
        """
        mean = weight @ self.mean[:, None] + bias
        return weight @ self.covariance @ weight.transpose(1, 2) + mean @ mean.transpose(1, 2)


def input_moments(model: SlimBertPreTrainedModel, learnt: Examples) -> list[Moments]:
    """Measure every layer's input on training rows.

    Args:
        model: The predecessor.
        learnt: The first rows are looked at.

    Returns:
        Per layer.
    """
    device, layers = next(model.parameters()).device, model.config.num_hidden_layers
    seen = learnt.encoded.select(range(min(MOST_ROWS, len(learnt.encoded))))
    hidden, tokens = model.config.hidden_size, 0
    sums = torch.zeros(layers, hidden, dtype=torch.float64, device=device)
    products = torch.zeros(layers, hidden, hidden, dtype=torch.float64, device=device)
    model.train(False)
    for rows in row_batches(seen, ROWS_AT_ONCE, learnt.masking, "looking at what layers read"):
        batch = collate(rows, model.config.padding_id)
        inputs = {n: torch.from_numpy(batch[n]).to(device) for n in INPUTS if n in batch}
        with torch.no_grad():
            states = model.encoder(**inputs, output_hidden_states=True).hidden_states
        real = inputs["attention_mask"].bool()
        tokens += int(real.sum())
        for number, state in enumerate(states[:layers]):
            x = state[real].double()  # (tokens, hidden)
            sums[number] += x.sum(0)
            products[number] += x.T @ x
    means, squares = sums.cpu() / tokens, products.cpu() / tokens
    # C = E x x^T - mu mu^T
    return [Moments(mu, xx - torch.outer(mu, mu)) for mu, xx in zip(means, squares, strict=True)]
