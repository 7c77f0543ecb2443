"""The models: one encoder for the whole BERT family, and a head for each kind of task.

This file, `layers.py` and `configuration.py` need torch and transformers only: they are copied into
checkpoints, which therefore open where bertslim is not installed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.utils.generic import ModelOutput

from .configuration import SlimBertConfig, layer_widths
from .layers import Dropout, Embeddings, Layer, Linear, MaskedLMHead, attention_bias


@dataclass(frozen=True, slots=True)
class Gates:
    """Multipliers that switch parts of the encoder off (0) or leave them (1).

    `heads`: per layer (heads,) or (batch, heads), on each head's context before the output
    projection.
    `ffn`: per layer (intermediate,) or (batch, intermediate), on the activation between the two FFN
    products.
    `hidden`: (hidden,) or (batch, hidden), on the hidden state wherever it is made: in every
    LayerNorm, whose statistics leave out what is off, and behind the projection of the embeddings
    and the pooler.
    """

    heads: Sequence[Tensor] | None = None
    ffn: Sequence[Tensor] | None = None
    hidden: Tensor | None = None

    def of_layer(self, number: int) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """One layer's gates of heads, FFN and hidden state."""
        heads = None if self.heads is None else self.heads[number]
        return heads, None if self.ffn is None else self.ffn[number], self.hidden


@dataclass
class SlimBertOutput(ModelOutput):
    """What a model returns; fields that do not apply are absent.

    `hidden_states`: embeddings, then every layer's output. `attention_scores`: per layer the raw
    q.k / sqrt(head_dim) before mask and softmax, (batch, heads, length, length).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attention_scores: tuple[Tensor, ...] | None = None


class SlimBertPreTrainedModel(PreTrainedModel):
    """What all models of the family share."""

    config: SlimBertConfig
    config_class = SlimBertConfig
    base_model_prefix = "bert"
    _supports_sdpa = True
    _input_embed_layer = "word_embeddings"
    first_token_only: ClassVar[bool] = False
    """Whether the outputs depend on the first token's last state alone."""

    @property
    def encoder(self) -> SlimBertModel:
        """The model without its head."""
        return cast("SlimBertModel", getattr(self, self.base_model_prefix, self))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MaskedLMHead):
            init.zeros_(module.bias)


class SlimBertModel(SlimBertPreTrainedModel):
    """The encoder without a head."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        widths = layer_widths(config)
        self.windows = tuple(layer.window for layer in widths)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in widths)
        if config.pooler_activation:
            self.pooler = Linear(config.hidden_size, config.hidden_size)
            self.pooler_activation = ACT2FN[config.pooler_activation]
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        gates: Gates | None = None,
        output_hidden_states: bool | None = None,
        output_first_states: bool = False,
        output_attention_scores: bool = False,
        first_token_only: bool = False,
        **_unused: Any,
    ) -> SlimBertOutput:
        """Encode (batch, length) token ids; `last_hidden_state` is (batch, length, hidden).

        With `first_token_only` the last layer goes on with the first token alone, unless all states
        or scores are wanted: `last_hidden_state` is (batch, 1, hidden). `output_first_states` wants
        of each hidden state the first token's alone, also (batch, 1, hidden).
        """
        keep_states = self.config.output_hidden_states
        if output_hidden_states is not None:
            keep_states = output_hidden_states
        gates = gates or Gates()
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds, gates.hidden)
        biases = {w: attention_bias(attention_mask, w, x) for w in {None, *self.windows}}
        narrow = first_token_only and not (keep_states or output_attention_scores)
        states, all_scores = [x], []
        for number, layer in enumerate(self.layers):
            memory, window = x, self.windows[number]
            if narrow and number == len(self.layers) - 1:
                # the first token sees through every window
                x, window = x[:, :1], None
            gate = gates.of_layer(number)
            x, scores = layer(x, memory, biases[window], *gate, output_attention_scores)
            states = [*states, x] if keep_states or output_first_states else [x]
            all_scores.append(scores)
        if output_first_states and not keep_states:
            states = [state[:, :1] for state in states]
        return SlimBertOutput(
            last_hidden_state=x,
            pooler_output=self.pool(x, gates.hidden),
            hidden_states=tuple(states) if keep_states or output_first_states else None,
            attention_scores=tuple(all_scores) if output_attention_scores else None,
        )

    def pool(self, x: Tensor, gate: Tensor | None) -> Tensor | None:
        """The first token's state through the pooler, (batch, hidden); None without a pooler."""
        if self.config.pooler_activation is None:
            return None
        pooled: Tensor = self.pooler_activation(self.pooler(x[:, 0]))
        return pooled if gate is None else pooled * gate


class SlimBertForTask(SlimBertPreTrainedModel):
    """An encoder with one kind of `logits` on top."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.bert = SlimBertModel(config)
        self.dropout = Dropout(config.head_dropout)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> SlimBertOutput:
        """Run encoder and head; the other `inputs` are those of `SlimBertModel`."""
        inputs["first_token_only"] = self.first_token_only
        encoded: SlimBertOutput = self.bert(input_ids, attention_mask, token_type_ids, **inputs)
        logits = self.logits(encoded)
        return SlimBertOutput(
            loss=None if labels is None else self.loss(logits, labels),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attention_scores=encoded.attention_scores,
        )

    @abstractmethod
    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, [length,] classes)."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the items whose label is not -100."""
        return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


class SlimBertForSequenceClassification(SlimBertForTask):
    """Classifies (or, with `problem_type` "regression", scores) whole sequences."""

    first_token_only = True

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.classifier = Linear(config.hidden_size, config.num_labels or 0)
        self.post_init()

    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, labels)."""
        pooled = encoded.pooler_output
        first = encoded["last_hidden_state"][:, 0] if pooled is None else pooled
        logits: Tensor = self.classifier(self.dropout(first))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch of what `problem_type` asks for."""
        if self.config.problem_type == "regression" or self.config.num_labels == 1:
            return functional.mse_loss(logits, labels.view_as(logits).to(logits.dtype))
        if self.config.problem_type == "multi_label_classification":
            return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        return super().loss(logits, labels)


class SlimBertForTokenClassification(SlimBertForTask):
    """Labels every token."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.classifier = Linear(config.hidden_size, config.num_labels or 0)
        self.post_init()

    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, length, labels)."""
        logits: Tensor = self.classifier(self.dropout(encoded.last_hidden_state))
        return logits


class SlimBertForMaskedLM(SlimBertForTask):
    """Guesses masked words; its hidden state cannot be gated, since the decoder is the table."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.mlm = MaskedLMHead(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        logits_at: Tensor | None = None,
        **inputs: Any,
    ) -> SlimBertOutput:
        """Guess words: at all tokens; or, with `logits_at` or `labels`, at some of them.

        Scoring a vocabulary takes most of the memory, so that the head sees no token in vain.

        Args:
            input_ids: (batch, length), as all that follow.
            attention_mask: As of the encoder.
            token_type_ids: As of the encoder.
            labels: The words to guess, -100 where there is none. There is a loss then, and there
                are no logits unless `logits_at` asks for some.
            logits_at: Where logits are wanted, labelled tokens among them; `logits` are then
                (tokens, vocabulary), row by row.
            **inputs: Of the encoder.

        Raises:
            ValueError: If the hidden state has a gate.
        """
        if (gates := inputs.get("gates")) is not None and gates.hidden is not None:
            raise ValueError("a masked language model's hidden state cannot be gated")
        if labels is None and logits_at is None:
            return super().forward(input_ids, attention_mask, token_type_ids, **inputs)
        encoded: SlimBertOutput = self.bert(input_ids, attention_mask, token_type_ids, **inputs)
        at = cast("Tensor", labels) != -100 if logits_at is None else logits_at.bool()
        states = encoded["last_hidden_state"][at]  # (tokens, hidden)
        logits = self.logits(SlimBertOutput(last_hidden_state=states))
        return SlimBertOutput(
            loss=None if labels is None else self.loss(logits, labels[at]),
            logits=None if logits_at is None else logits,
            hidden_states=encoded.hidden_states,
            attention_scores=encoded.attention_scores,
        )

    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, length, vocabulary), or (tokens, vocabulary) for some tokens alone."""
        words = self.bert.embeddings.word_embeddings.weight
        logits: Tensor = self.mlm(encoded.last_hidden_state, words)
        return logits


class SlimBertForQuestionAnswering(SlimBertPreTrainedModel):
    """Finds the span of the context that answers the question."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.bert = SlimBertModel(config)
        self.dropout = Dropout(config.head_dropout)
        self.qa_outputs = Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **inputs: Any,
    ) -> SlimBertOutput:
        """`start_logits`, `end_logits` (batch, length); positions (batch,), ignored if outside."""
        encoded: SlimBertOutput = self.bert(input_ids, attention_mask, token_type_ids, **inputs)
        logits: Tensor = self.qa_outputs(self.dropout(encoded.last_hidden_state))
        start, end = logits.unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (boundary_loss(start, start_positions) + boundary_loss(end, end_positions)) / 2
        return SlimBertOutput(
            loss=loss,
            start_logits=start,
            end_logits=end,
            hidden_states=encoded.hidden_states,
            attention_scores=encoded.attention_scores,
        )


def boundary_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Cross entropy over (batch, length) logits; positions past the end are not counted."""
    length = logits.shape[1]
    return functional.cross_entropy(
        logits, positions.view(-1).clamp(0, length), ignore_index=length
    )
