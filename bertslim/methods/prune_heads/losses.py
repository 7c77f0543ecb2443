"""The losses whose gradients tell what a unit is worth, each a sum over the items of a batch."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from bertslim.model.modeling import (
    SlimBertForMaskedLM,
    SlimBertOutput,
    SlimBertPreTrainedModel,
)
from bertslim.model.signature import INPUTS
from bertslim.train.batching import IGNORED_LABEL
from bertslim.train.objectives import SILENT

Loss = Callable[[SlimBertPreTrainedModel, Mapping[str, Tensor], int], Tensor]
"""(model, batch, items in it) -> the sum of the items' losses."""


def label_loss(model: SlimBertPreTrainedModel, inputs: Mapping[str, Tensor], items: int) -> Tensor:
    """Return the task's own loss: what the labels say, - sum log p(label | x)."""
    loss: Tensor = model(**inputs).loss * items
    return loss


def answer_loss(seed: int) -> Loss:
    """Make the loss of answers that the model itself gives: - sum log p(y | x), y ~ p(. | x).

    The squared gradients of this one are the Fisher information, which says how far the model's
    answers move. Those of labels, the "empirical Fisher", say how far it is from the labels: on
    what a model was trained on, few examples are left that say anything.

    Args:
        seed: Of the answers.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(model: SlimBertPreTrainedModel, inputs: Mapping[str, Tensor], _items: int) -> Tensor:
        z = item_logits(model, inputs)
        if model.config.problem_type == "regression" or z.shape[-1] == 1:
            # a normal distribution around the score: - log p(y) = (z - y)^2 / 2
            noise = torch.randn(z.shape, generator=generator).to(z)
            return (z - (z.detach() + noise)).square().sum() / 2
        if model.config.problem_type == "multi_label_classification":
            y = torch.bernoulli(z.detach().sigmoid().cpu(), generator=generator).to(z)
            return functional.binary_cross_entropy_with_logits(z, y, reduction="sum")
        p = z.detach().softmax(-1).cpu()
        drawn = torch.multinomial(p, 1, generator=generator).flatten().to(z.device)
        return functional.cross_entropy(z, drawn, reduction="sum")

    return loss


def item_logits(model: SlimBertPreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return (items, classes): of texts, of tokens with a label, or of both ends of an answer."""
    given = {name: x for name, x in inputs.items() if name in INPUTS}
    if isinstance(model, SlimBertForMaskedLM):
        asked = inputs["labels"] != IGNORED_LABEL  # (batch, length)
        states = model.bert(**given)["last_hidden_state"][asked]
        return model.logits(SlimBertOutput(last_hidden_state=states))
    outputs = model(**given)
    if outputs.start_logits is not None:
        both = torch.cat([outputs.start_logits, outputs.end_logits])  # (2 batch, length)
        return both.masked_fill(inputs["attention_mask"].repeat(2, 1) == 0, SILENT)
    z: Tensor = outputs.logits
    return z[inputs["labels"] != IGNORED_LABEL] if z.ndim == 3 else z
