"""One encoder with a head for each of several tasks."""

import copy
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import nn

from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.slim import SlimConfig, SlimModel

SHARED = ("embeddings", "layers")
"""What tasks have in common. A pooler, and what sums up a text's states, are part of the head."""


class MultiTaskModel(nn.Module):
    """Whole models, one for each task, over one encoder.

    What is learnt through one of them all of them know. Shared weights have one name, that of the
    first model.

    Attributes:
        tasks: The whole models by the tasks' names.
    """

    def __init__(self, tasks: Mapping[str, SlimModel]) -> None:
        """Let models of one shape share the encoder of the first; those of the others go."""
        super().__init__()
        self.tasks = dict(tasks)
        self.models = nn.ModuleList(tasks.values())
        first, *others = tasks.values()
        for other in others:
            for part in SHARED:
                setattr(other.encoder, part, getattr(first.encoder, part))
        self.train(first.training)

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of words."""
        return next(iter(self.tasks.values())).get_input_embeddings()

    def headless(self) -> SlimModel:
        """Return the encoder as a model of its own, which shares its weights.

        It counts as a reader of pairs where all tasks are about pairs.
        """
        encoder = next(iter(self.tasks.values())).encoder
        config = copy.deepcopy(encoder.config)
        config.architectures = [type(encoder).__name__]
        config.problem_type, config.num_labels = None, 2
        if isinstance(config, SlimLstmConfig):
            config.pairs = all(model.config.reads_token_types for model in self.tasks.values())
        else:
            config.pooler_activation = None
        make = cast("Callable[[SlimConfig], SlimModel]", type(encoder))
        with torch.device("meta"):
            bare = make(config)
        weights = encoder.state_dict()
        bare.load_state_dict({name: weights[name] for name in bare.state_dict()}, assign=True)
        bare.train(encoder.training)
        return bare
