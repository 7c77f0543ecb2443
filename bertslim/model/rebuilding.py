"""A new model from another one's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertPreTrainedModel


def rebuilt(
    model: SlimBertPreTrainedModel, config: SlimBertConfig, tensors: Mapping[str, Tensor]
) -> SlimBertPreTrainedModel:
    """Make a model of the same class, in the same mode, with copies of these weights.

    Nothing is shared with `model`, so that training the one leaves the other alone.
    """
    with torch.device("meta"):
        new: SlimBertPreTrainedModel = type(model)(config)
    copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    new.load_state_dict(copies, assign=True)
    new.train(model.training)
    return new
