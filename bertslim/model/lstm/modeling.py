"""The recurrent models: one BiLSTM encoder, and a head for texts and pairs or for tags.

Padding changes no result, though nothing is packed and no lengths are given: see `BiLstm`. This
file, `layers.py`, `crf.py` and `configuration.py` need torch and transformers only: they are copied
into checkpoints, which therefore open where bertslim is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from .configuration import SlimLstmConfig
from .crf import IGNORED_LABEL, Crf, Scores, best_tags, chain_loss
from .layers import BiLstm, Classifier, Embeddings, four_ways, pooling_of


@dataclass
class SlimLstmOutput(ModelOutput):
    """What a model returns; fields that do not apply are absent.

    `pooled`: what a text, or a pair, came to, in front of the classifier. `chain`: the scores of
    the CRF, which belong to the logits.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooled: Tensor | None = None
    chain: Scores | None = None


class SlimLstmPreTrainedModel(PreTrainedModel):
    """What all of them share.

    A forward takes what it does not read as well, for callers who treat all models alike: token
    types from a tokenizer that a transformer had before, flags that ask for states by layers.
    """

    config: SlimLstmConfig
    config_class = SlimLstmConfig
    base_model_prefix = "lstm"

    @property
    def encoder(self) -> SlimLstmModel:
        """The model without its head."""
        return cast("SlimLstmModel", getattr(self, self.base_model_prefix, self))

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: each part begins as it was made."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of words."""
        return self.encoder.embeddings.words


class SlimLstmModel(SlimLstmPreTrainedModel):
    """The encoder without a head."""

    def __init__(self, config: SlimLstmConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        sizes = config.layer_inputs
        self.layers = nn.ModuleList(BiLstm(size, config.hidden_size) for size in sizes)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_unused: Any
    ) -> SlimLstmOutput:
        """Encode (batch, length) token ids; `last_hidden_state` is (batch, length, 2 hidden)."""
        x = self.embeddings(input_ids)
        return SlimLstmOutput(
            last_hidden_state=self.states(x, mask_of(input_ids, attention_mask, x))
        )

    def states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (batch, length, 2 hidden), 0 outside the mask.

        Args:
            x: Embeddings, (batch, length, inputs).
            mask: (batch, length), 1 at the tokens of one text, which are neighbours.
        """
        real = mask.unsqueeze(-1)
        for layer in self.layers:
            x = layer(self.dropout(x) * real) * real
        return x


class SlimLstmForSequenceClassification(SlimLstmPreTrainedModel):
    """Classifies (or, with `problem_type` "regression", scores) texts or pairs of texts.

    A pair is read by a siamese encoder: token types tell which text a token is of.
    """

    def __init__(self, config: SlimLstmConfig) -> None:
        super().__init__(config)
        self.lstm = SlimLstmModel(config)
        self.pooling = pooling_of(config)
        size = config.state_size * (4 if config.pairs else 1)
        labels, dropout = config.num_labels or 0, config.hidden_dropout_prob
        self.classifier = Classifier(size, config.head_size, labels, dropout)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_unused: Any,
    ) -> SlimLstmOutput:
        """Return `logits` (batch, labels) of (batch, length) token ids."""
        x = self.lstm.embeddings(input_ids)
        mask = mask_of(input_ids, attention_mask, x)
        pooled = self._pair(x, mask, token_type_ids) if self.config.pairs else self._text(x, mask)
        logits = self.classifier(pooled)
        loss = None if labels is None else self._loss(logits, labels)
        return SlimLstmOutput(loss=loss, logits=logits, pooled=pooled)

    def _text(self, x: Tensor, mask: Tensor) -> Tensor:
        pooled: Tensor = self.pooling(self.lstm.states(x, mask), mask)
        return pooled

    def _pair(self, x: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compare the texts; each is encoded where it stands, with the other one masked out.

        Raises:
            ValueError: If nothing tells where the second text stands.
        """
        if types is None:
            raise ValueError("pairs need token_type_ids: return_token_type_ids=True")
        second = types.to(mask.dtype)
        masks = torch.cat([mask * (1 - second), mask * second])  # (2 batch, length)
        a, b = self._text(torch.cat([x, x]), masks).chunk(2)
        return four_ways(a, b)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch of what `problem_type` asks for."""
        if self.config.problem_type == "regression" or self.config.num_labels == 1:
            return functional.mse_loss(logits, labels.view_as(logits).to(logits.dtype))
        return functional.cross_entropy(logits, labels)


class SlimLstmForTokenClassification(SlimLstmPreTrainedModel):
    """Labels every token; with a CRF, the words of a sentence together."""

    def __init__(self, config: SlimLstmConfig) -> None:
        super().__init__(config)
        self.lstm = SlimLstmModel(config)
        labels, dropout = config.num_labels or 0, config.hidden_dropout_prob
        self.classifier = Classifier(config.state_size, config.head_size, labels, dropout)
        self.crf = Crf(labels) if config.crf else None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_unused: Any,
    ) -> SlimLstmOutput:
        """Return `logits` (batch, length, labels) of (batch, length) token ids.

        What they come to is for `decode` to say. Labels are -100 where no word begins.
        """
        encoded = self.lstm(input_ids, attention_mask)
        logits = self.classifier(encoded.last_hidden_state)
        chain = None if self.crf is None else self.crf()
        loss = None if labels is None else self._loss(logits, labels, chain)
        return SlimLstmOutput(loss=loss, logits=logits, chain=chain)

    @torch.no_grad()
    def decode(self, logits: Tensor, words: Tensor) -> Tensor:
        """Return the numbers of the tags, (batch, length); -100 where no word begins.

        Args:
            logits: (batch, length, labels), wherever they were computed.
            words: (batch, length), true at the first piece of each word.
        """
        if self.crf is None:
            return logits.argmax(-1).masked_fill(~words, IGNORED_LABEL)
        return best_tags(self.crf(), logits, words)

    def _loss(self, logits: Tensor, labels: Tensor, chain: Scores | None) -> Tensor:
        """Mean over the words."""
        if chain is None:
            return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
        return chain_loss(chain, logits, labels)


def mask_of(input_ids: Tensor, attention_mask: Tensor | None, like: Tensor) -> Tensor:
    """Return the attention mask as numbers like the embeddings; all 1 where none is given."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    return mask.to(like.dtype)
