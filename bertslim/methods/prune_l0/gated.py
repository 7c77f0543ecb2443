"""A model together with gates that are learnt, for the training loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bertslim.methods.prune_l0.gates import as_gates, gate_counts
from bertslim.methods.prune_l0.hard_concrete import (
    LOG_ALPHA_LIMIT,
    open_probability,
    sample,
    settled,
)
from bertslim.methods.prune_l0.price import Price
from bertslim.methods.prune_l0.settings import Kind
from bertslim.model.modeling import SlimBertOutput, SlimBertPreTrainedModel

NEARLY_OPEN = 2.5
"""Where log alpha starts: all gates are open with P = 0.98, and near enough to 0 to move."""


@dataclass
class GatedOutput(SlimBertOutput):
    """What a gated model returns; `price` is what its open gates cost."""

    price: Tensor | None = None


class GatedModel(SlimBertPreTrainedModel):
    """A model whose heads, FFN units or hidden channels have hard-concrete gates.

    In training every pass draws one sample of all gates, which its examples share. Otherwise the
    gates are settled.
    """

    def __init__(self, model: SlimBertPreTrainedModel, kinds: Sequence[Kind], price: Price) -> None:
        super().__init__(model.config)
        self.gated, self.price = model, price
        self.counts = gate_counts(model.config, kinds)
        sizes = [size for layers in self.counts.values() for size in layers]
        self.log_alpha = nn.ParameterList(torch.full((size,), NEARLY_OPEN) for size in sizes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.steps: Tensor

    def get_input_embeddings(self) -> nn.Module:
        """Return the word table, which the loop may freeze."""
        return self.gated.get_input_embeddings()

    def locations(self) -> dict[Kind, list[Tensor]]:
        """Return log alpha by kind and layer."""
        row = iter(self.log_alpha)
        return {kind: [next(row) for _ in layers] for kind, layers in self.counts.items()}

    def forward(self, **batch: Any) -> GatedOutput:
        """Run the model with its gates; `batch` is what the model itself takes."""
        locations, draw = self.locations(), sample if self.training else settled
        values = {kind: [draw(layer) for layer in layers] for kind, layers in locations.items()}
        outputs: SlimBertOutput = self.gated(**batch, gates=as_gates(values))
        opened = {k: [open_probability(layer) for layer in ls] for k, ls in locations.items()}
        return GatedOutput(**outputs, price=self.price(opened, self.steps))

    @torch.no_grad()
    def finish_step(self, *_: object) -> None:
        """Keep log alpha within its limit, and count the step."""
        for layer in self.log_alpha:
            layer.clamp_(-LOG_ALPHA_LIMIT, LOG_ALPHA_LIMIT)
        self.steps += 1


def priced_objective(
    student: Any, _teacher: Any, _batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the task's own loss, and what the open gates cost."""
    return {"task": student.loss, "gates": student.price}
