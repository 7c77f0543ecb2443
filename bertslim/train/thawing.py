"""Weights that begin to learn one part after the other, from the top of a model down."""

import math

import torch.nn as nn

from bertslim.model.slim import SlimModel
from bertslim.train.session import BeforeStep


def parts_from_the_top(model: SlimModel) -> list[list[nn.Parameter]]:
    """Return the weights of the head, of each layer from the last to the first, and of the words.

    A pooler counts as part of the head.
    """
    encoder = model.encoder
    layers = [list(layer.parameters()) for layer in reversed(encoder.layers)]
    embeddings = list(encoder.embeddings.parameters())
    below = {id(parameter) for part in (*layers, embeddings) for parameter in part}
    head = [parameter for parameter in model.parameters() if id(parameter) not in below]
    return [head, *layers, embeddings]


def thawing(model: SlimModel, steps: int) -> BeforeStep:
    """Return what opens a model as training goes (Mukherjee and Awadallah 2020, section 5).

    The run is divided into as many equal spans as there are parts. In the first the head learns
    alone; in each span one part more learns as well; in the last the words do. With fewer steps
    than parts, several open at once. The paper trains to convergence in between and starts a span
    from the best weights so far.

    Args:
        model: It has to be whole and trainable when the first step is taken; what is frozen then
            stays so.
        steps: Of the whole run.
    """
    parts: list[list[nn.Parameter]] = []

    def open_parts(step: int) -> None:
        if not parts:
            found = parts_from_the_top(model)
            parts.extend([p for p in part if p.requires_grad] for part in found)
        opened = math.ceil((step + 1) * len(parts) / steps)
        for number, part in enumerate(parts):
            for parameter in part:
                parameter.requires_grad_(number < opened)

    return open_parts
