"""A model of which every batch meets other layers."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bertslim.methods.theseus.successors.successor import Successor
from bertslim.model.modeling import SlimBertModel, SlimBertOutput, SlimBertPreTrainedModel

Windowed = tuple[nn.Module, int | None]
"""A layer and its attention window."""


class Mixture(SlimBertPreTrainedModel):
    """A predecessor's layers and its successor, which has embeddings and head for both.

    `replaced` tells for each module whether a batch goes through the successor's layer, or through
    the layers of the predecessor, copied and frozen, that this layer stands for.
    """

    def __init__(self, predecessor: SlimBertPreTrainedModel, successor: Successor) -> None:
        super().__init__(successor.model.config)
        self.successor = successor.model
        self.predecessor = copy.deepcopy(predecessor.encoder.layers).requires_grad_(False)
        self.predecessor_windows = predecessor.encoder.windows
        self.groups = successor.replaces
        self.replaced: Sequence[bool] = [True] * len(self.groups)
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, **batch: Any) -> SlimBertOutput:
        """Run a batch through what was drawn; inputs and outputs are the successor's."""
        with running(self.successor.encoder, self.drawn()):
            outputs: SlimBertOutput = self.successor(**batch)
        if outputs.loss is not None:
            # a batch that meets the predecessor alone has to have a gradient, too
            outputs.loss = outputs.loss + 0 * self.nothing
        return outputs

    def drawn(self) -> list[Windowed]:
        """The layers to go through: y_(i+1) = r_i scc_i(y_i) + (1 - r_i) prd_i(y_i)."""
        own, theirs = windowed(self.successor), self.predecessor
        path: list[Windowed] = []
        for scc, group, replaced in zip(own, self.groups, self.replaced, strict=True):
            prd = [(theirs[number], self.predecessor_windows[number]) for number in group]
            path += [scc] if replaced else prd
        return path

    def get_input_embeddings(self) -> nn.Module:
        """The word embedding table."""
        table: nn.Module = self.successor.get_input_embeddings()
        return table


def windowed(model: SlimBertPreTrainedModel) -> list[Windowed]:
    """A model's own layers, each with its window."""
    return list(zip(model.encoder.layers, model.encoder.windows, strict=True))


@contextmanager
def running(encoder: SlimBertModel, path: Sequence[Windowed]) -> Iterator[None]:
    """Let an encoder go through other layers than its own."""
    before = encoder.layers, encoder.windows
    layers, windows = zip(*path, strict=True)
    encoder.layers, encoder.windows = nn.ModuleList(layers), windows
    try:
        yield
    finally:
        encoder.layers, encoder.windows = before
