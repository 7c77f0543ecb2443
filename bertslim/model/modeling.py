"""One encoder for the whole BERT family, in which every layer has widths of its own.

This file and `configuration.py` need torch and transformers only: they are copied into checkpoints,
which therefore open where bertslim is not installed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.utils.generic import ModelOutput

from .configuration import LayerWidths, SlimBertConfig, layer_widths


@dataclass(frozen=True, slots=True)
class Gates:
    """Multipliers that switch parts of the encoder off (0) or leave them (1); one tensor per layer.

    `heads`: (heads,) or (batch, heads), on each head's context before the output projection.
    `ffn`: (intermediate,) or (batch, intermediate), on the activation between the two FFN products.
    """

    heads: Sequence[Tensor] | None = None
    ffn: Sequence[Tensor] | None = None


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


class Dropout(nn.Dropout):
    """Dropout that costs nothing at p = 0, where torch's still draws and multiplies."""

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share p of `x` and scale up the rest; any shape."""
        return super().forward(x) if self.training and self.p else x


class Linear(nn.Linear):
    """A linear layer that leaves initialising to the model, and may have no inputs or outputs."""

    def reset_parameters(self) -> None:
        """Do nothing: `_init_weights` follows, and torch warns about empty weights."""


class Embeddings(nn.Module):
    """Words + positions (+ token types), normalised, projected where the encoder is wider."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__()
        self.position_offset = config.position_offset
        width, padding = config.embedding_size, config.pad_token_id
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=padding)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        if config.type_vocab_size:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.projection: nn.Module = nn.Identity()
        if width != config.hidden_size:
            self.projection = Linear(width, config.hidden_size)

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> Tensor:
        """Embed (batch, length) ids, or take (batch, length, embedding) words as they are."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = self.positions(input_ids, words.shape[1], words.device)
        x = words + self.position_embeddings(position_ids)
        if hasattr(self, "token_type_embeddings"):
            x = x + (
                self.token_type_embeddings.weight[0]
                if token_type_ids is None
                else self.token_type_embeddings(token_type_ids)
            )
        x = self.dropout(self.layer_norm(x))
        return self.projection(x)

    def positions(self, input_ids: Tensor | None, length: int, device: torch.device) -> Tensor:
        """Position ids (1 or batch, length); see `SlimBertConfig.position_offset`."""
        first = self.position_offset
        if first == 0 or input_ids is None:
            return torch.arange(first, first + length, device=device)[None]
        real = input_ids.ne(first - 1)
        return real.cumsum(1) * real + (first - 1)


class Attention(nn.Module):
    """Attention with any number of heads; of a layer without any, the output bias is left."""

    def __init__(self, config: SlimBertConfig, widths: LayerWidths) -> None:
        super().__init__()
        heads, kv_heads, head_dim = widths.heads, widths.kv_heads, widths.head_dim
        if heads and (kv_heads == 0 or heads % kv_heads):
            raise ValueError(f"{heads} query heads cannot share {kv_heads} key/value heads evenly")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.query = Linear(config.hidden_size, heads * head_dim)
        self.key = Linear(config.hidden_size, kv_heads * head_dim)
        self.value = Linear(config.hidden_size, kv_heads * head_dim)
        self.output = Linear(heads * head_dim, config.hidden_size)
        self.probs_dropout = Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, x: Tensor, bias: Tensor | None, gate: Tensor | None, want_scores: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within (batch, length, hidden), and hand out the scores if they are wanted."""
        batch, length, _ = x.shape
        q = self.query(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        k = self.key(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.value(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        if want_scores or self.heads == 0:
            context, scores = self.plain(q, k, v, bias)
        else:
            context, scores = self.fused(q, k, v, bias), None
        if gate is not None:
            context = context * gate.reshape(-1, self.heads, 1, 1)
        merged = context.transpose(1, 2).reshape(batch, length, self.heads * self.head_dim)
        return self.output(merged), scores

    def fused(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Context (batch, heads, length, head_dim), with no scores in memory."""
        dropout = self.probs_dropout.p if self.training else 0.0
        shared = self.kv_heads != self.heads
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=dropout, enable_gqa=shared
        )

    def plain(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Context (batch, heads, length, head_dim) and scores (batch, heads, length, length)."""
        batch, heads, length, head_dim = q.shape
        # the query heads of one K/V head are stacked: one product per K/V head, which is not copied
        grouped = (batch, self.kv_heads, -1 if heads else 0)
        q = (q * head_dim**-0.5).reshape(*grouped, head_dim)
        scores = (q @ k.transpose(2, 3)).view(batch, heads, length, length)
        probs = (scores if bias is None else scores + bias).softmax(-1)
        context = self.probs_dropout(probs).view(*grouped, length) @ v
        return context.view(batch, heads, length, head_dim), scores


class FeedForward(nn.Module):
    """Two products around an activation."""

    def __init__(self, config: SlimBertConfig, widths: LayerWidths) -> None:
        super().__init__()
        self.intermediate = Linear(config.hidden_size, widths.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = Linear(widths.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor, gate: Tensor | None) -> Tensor:
        """Transform (batch, length, hidden)."""
        x = self.activation(self.intermediate(x))
        if gate is not None:
            x = x * gate.unsqueeze(-2)
        return self.output(x)


class Layer(nn.Module):
    """Post-LN: x = norm(x + attention(x)), then x = norm(x + ffn(x))."""

    def __init__(self, config: SlimBertConfig, widths: LayerWidths) -> None:
        super().__init__()
        self.attention = Attention(config, widths)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.ffn = FeedForward(config, widths)
        self.ffn_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        head_gate: Tensor | None = None,
        ffn_gate: Tensor | None = None,
        want_scores: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the next (batch, length, hidden), and the attention scores if they are wanted."""
        attended, scores = self.attention(x, bias, head_gate, want_scores)
        x = self.attention_norm(x + self.dropout(attended))
        x = self.ffn_norm(x + self.dropout(self.ffn(x, ffn_gate)))
        return x, scores


def attention_bias(
    attention_mask: Tensor | None, window: int | None, hidden: Tensor
) -> Tensor | None:
    """What the scores need added, (1 or batch, 1, 1 or length, length); None if all is attended."""
    length, device = hidden.shape[1], hidden.device
    allowed: Tensor | None = None
    if attention_mask is not None:
        allowed = attention_mask[:, None, None, :].bool()
        # asking a GPU would wait for it
        if device.type == "cpu" and not torch.compiler.is_compiling() and bool(allowed.all()):
            allowed = None
    if window is not None and length > window // 2 + 1:
        i = torch.arange(length, device=device)
        near = (i[:, None] - i).abs() <= window // 2
        near[0], near[:, 0] = True, True
        allowed = near[None, None] if allowed is None else allowed & near
    if allowed is None:
        return None
    autocast = torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type) if autocast else hidden.dtype
    bias = torch.zeros(allowed.shape, dtype=dtype, device=device)
    # the lowest finite number: a row with nothing to attend to stays a number
    return bias.masked_fill_(~allowed, torch.finfo(dtype).min)


class SlimBertPreTrainedModel(PreTrainedModel):
    """What all models of the family share."""

    config: SlimBertConfig
    config_class = SlimBertConfig
    base_model_prefix = "bert"
    _supports_sdpa = True
    _input_embed_layer = "word_embeddings"

    @property
    def encoder(self) -> SlimBertModel:
        """The model without its head."""
        encoder: SlimBertModel = getattr(self, self.base_model_prefix, self)
        return encoder

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
        output_attention_scores: bool = False,
        **_unused: Any,
    ) -> SlimBertOutput:
        """Encode (batch, length) token ids; `last_hidden_state` is (batch, length, hidden)."""
        keep_states = self.config.output_hidden_states
        if output_hidden_states is not None:
            keep_states = output_hidden_states
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        biases = {w: attention_bias(attention_mask, w, x) for w in {*self.windows}}
        gates = gates or Gates()
        states, all_scores = [x], []
        for number, layer in enumerate(self.layers):
            head_gate = gates.heads[number] if gates.heads is not None else None
            ffn_gate = gates.ffn[number] if gates.ffn is not None else None
            bias = biases[self.windows[number]]
            x, scores = layer(x, bias, head_gate, ffn_gate, output_attention_scores)
            states = [*states, x] if keep_states else [x]
            all_scores.append(scores)
        return SlimBertOutput(
            last_hidden_state=x,
            pooler_output=self.pool(x),
            hidden_states=tuple(states) if keep_states else None,
            attention_scores=tuple(all_scores) if output_attention_scores else None,
        )

    def pool(self, x: Tensor) -> Tensor | None:
        """The first token's state through the pooler, (batch, hidden); None without a pooler."""
        if self.config.pooler_activation is None:
            return None
        pooled: Tensor = self.pooler_activation(self.pooler(x[:, 0]))
        return pooled


def head_dropout(config: SlimBertConfig) -> Dropout:
    """Dropout in front of a classifier."""
    p = config.classifier_dropout
    return Dropout(config.hidden_dropout_prob if p is None else p)


class SlimBertForTask(SlimBertPreTrainedModel):
    """An encoder with one kind of `logits` on top."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.bert = SlimBertModel(config)
        self.dropout = head_dropout(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> SlimBertOutput:
        """Run encoder and head; the other `inputs` are those of `SlimBertModel`."""
        outputs: SlimBertOutput = self.bert(input_ids, attention_mask, token_type_ids, **inputs)
        outputs.logits = self.logits(outputs)
        if labels is not None:
            outputs.loss = self.loss(outputs.logits, labels)
        return outputs

    @abstractmethod
    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, [length,] classes)."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the items whose label is not -100."""
        return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


class SlimBertForSequenceClassification(SlimBertForTask):
    """Classifies (or, with `problem_type` "regression", scores) whole sequences."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.classifier = Linear(config.hidden_size, config.num_labels or 0)
        self.post_init()

    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, labels)."""
        pooled = encoded.pooler_output
        first = encoded.last_hidden_state[:, 0] if pooled is None else pooled
        return self.classifier(self.dropout(first))

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
        return self.classifier(self.dropout(encoded.last_hidden_state))


class MaskedLMHead(nn.Module):
    """Scores every word of the vocabulary; the decoder is the word embedding table."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.embedding_size)
        self.activation = ACT2FN[config.mlm_activation]
        self.layer_norm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor, word_embeddings: Tensor) -> Tensor:
        """Turn (batch, length, hidden) into (batch, length, vocabulary)."""
        x = self.layer_norm(self.activation(self.dense(x)))
        return functional.linear(x, word_embeddings, self.bias)


class SlimBertForMaskedLM(SlimBertForTask):
    """Guesses masked words."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.mlm = MaskedLMHead(config)
        self.post_init()

    def logits(self, encoded: SlimBertOutput) -> Tensor:
        """Return (batch, length, vocabulary)."""
        return self.mlm(encoded.last_hidden_state, self.bert.embeddings.word_embeddings.weight)


class SlimBertForQuestionAnswering(SlimBertPreTrainedModel):
    """Finds the span of the context that answers the question."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__(config)
        self.bert = SlimBertModel(config)
        self.dropout = head_dropout(config)
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
        outputs: SlimBertOutput = self.bert(input_ids, attention_mask, token_type_ids, **inputs)
        logits = self.qa_outputs(self.dropout(outputs.last_hidden_state))
        outputs.start_logits, outputs.end_logits = logits[..., 0], logits[..., 1]
        if start_positions is not None and end_positions is not None:
            start = boundary_loss(outputs.start_logits, start_positions)
            outputs.loss = (start + boundary_loss(outputs.end_logits, end_positions)) / 2
        return outputs


def boundary_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Cross entropy over (batch, length) logits; positions past the end are not counted."""
    length = logits.shape[1]
    return functional.cross_entropy(
        logits, positions.view(-1).clamp(0, length), ignore_index=length
    )


AUTO_CLASSES: dict[str, type[SlimBertPreTrainedModel]] = {
    "AutoModel": SlimBertModel,
    "AutoModelForSequenceClassification": SlimBertForSequenceClassification,
    "AutoModelForTokenClassification": SlimBertForTokenClassification,
    "AutoModelForQuestionAnswering": SlimBertForQuestionAnswering,
    "AutoModelForMaskedLM": SlimBertForMaskedLM,
}
