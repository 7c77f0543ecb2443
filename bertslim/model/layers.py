"""What the models are made of: embeddings, attention, feed-forward and the masked-LM head.

Every layer has widths of its own. Like `modeling.py`, this file is copied into checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from .configuration import LayerWidths, SlimBertConfig

LONGEST_PLAIN = 256
"""Tokens up to which a CPU that learns in bf16 does without torch's fused attention."""


class Dropout(nn.Dropout):
    """Dropout that costs nothing at p = 0, where torch's still draws, and less on a CPU."""

    @property
    def rate(self) -> float:
        """The share that is dropped now."""
        return self.p if self.training else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share p of `x` and scale up the rest; any shape."""
        if not self.rate:
            return x
        return cheap_dropout(x, self.p) if x.is_cpu and self.p < 1 else super().forward(x)


def cheap_dropout(x: Tensor, p: float) -> Tensor:
    """Dropout of 16 random bits per element: a CPU takes longer for torch's than for the GEMM.

    `p` is rounded down to k / 2^16. The rest is scaled by exactly what such a p asks for, so the
    mean is that of `x`. The bits come from torch's generator.
    """
    k = int(p * 2**16)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    # all 64 bits of a word are random, and make four numbers from -2^15 to 2^15 - 1
    bits = words.random_(-(2**63), None).view(torch.int16)[: x.numel()].view(x.shape)
    kept = bits >= k - 2**15
    return x * kept.to(x.dtype).mul_(2**16 / (2**16 - k))


class Linear(nn.Linear):
    """A linear layer that leaves initialising to the model, and may have no inputs or outputs."""

    def reset_parameters(self) -> None:
        """Do nothing: `_init_weights` follows, and torch warns about empty weights."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm that can take channels for absent (CoFi, Xia et al. 2022)."""

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Normalise (batch, length, width); `gate` is that of `Gates.hidden`.

        Mean and variance are those of the channels whose gate is above 0: what a narrower model
        computes that never had the others.
        """
        if gate is None:
            return super().forward(x)
        gate = gate.unsqueeze(-2)  # (1 or batch, 1, width)
        there = (gate > 0).to(x.dtype)
        count = there.sum(-1, keepdim=True).clamp(min=1)
        mean = (x * there).sum(-1, keepdim=True) / count
        variance = ((x - mean).square() * there).sum(-1, keepdim=True) / count
        normed = (x - mean) * (variance + self.eps).rsqrt()
        return (normed * self.weight + self.bias) * gate


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
        self.layer_norm = LayerNorm(width, eps=config.layer_norm_eps)
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
        gate: Tensor | None = None,
    ) -> Tensor:
        """Embed (batch, length) ids, or take (batch, length, embedding) words as they are.

        `gate` is that of `Gates.hidden`; where a projection follows, its outputs have it.
        """
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = self.positions(input_ids, words.shape[1], words.device)
        x = words + self.position_embeddings(position_ids)
        if hasattr(self, "token_type_embeddings"):
            types = self.token_type_embeddings
            x = x + (types.weight[0] if token_type_ids is None else types(token_type_ids))
        projects = not isinstance(self.projection, nn.Identity)
        normed = self.layer_norm(x, None if projects else gate)
        projected: Tensor = self.projection(self.dropout(normed))
        if projects and gate is not None:
            projected = projected * gate.unsqueeze(-2)
        return projected

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
        self,
        x: Tensor,
        memory: Tensor,
        bias: Tensor | None,
        gate: Tensor | None,
        want_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Let `x` (batch, targets, hidden) attend to `memory` (batch, length, hidden).

        The scores are handed out if they are wanted.
        """
        # while training, empty weights take part: who averages gradients waits for theirs
        if not (self.heads or want_scores or torch.is_grad_enabled()):
            return self.output.bias.expand_as(x), None
        q = self.split(self.query(x), self.heads)
        k = self.split(self.key(memory), self.kv_heads)
        v = self.split(self.value(memory), self.kv_heads)
        if want_scores or self.heads == 0 or self.fused_is_slow(q, k):
            context, scores = self.plain(q, k, v, bias)
        else:
            context, scores = self.fused(q, k, v, bias), None
        if gate is not None:
            context = context * gate[..., None, None]
        merged = context.transpose(1, 2).reshape(*x.shape[:2], self.heads * self.head_dim)
        return self.output(merged), scores if want_scores else None

    def split(self, x: Tensor, heads: int) -> Tensor:
        """(batch, length, heads * head_dim) -> (batch, heads, length, head_dim)."""
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def fused_is_slow(self, q: Tensor, k: Tensor) -> bool:
        """Whether a CPU is faster with `plain`."""
        # its fused kernels know no dropout: torch would draw its own; backwards in bf16 they take
        # nine times as long at 16 tokens, three at 128 and hardly more at 384, for less memory
        short = k.shape[2] <= LONGEST_PLAIN
        learns_in_bf16 = q.dtype == torch.bfloat16 and q.requires_grad and short
        return q.is_cpu and (self.probs_dropout.rate > 0 or learns_in_bf16)

    def fused(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Context (batch, heads, targets, head_dim), with no scores in memory."""
        shared = self.kv_heads != self.heads
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=self.probs_dropout.rate, enable_gqa=shared
        )

    def plain(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Context (batch, heads, targets, head_dim) and scores (batch, heads, targets, length)."""
        batch, heads, targets, head_dim = q.shape
        length = k.shape[2]
        # the query heads of one K/V head are stacked: one product per K/V head, which is not copied
        grouped = (batch, self.kv_heads, -1 if heads else 0)
        q = (q * head_dim**-0.5).reshape(*grouped, head_dim)
        scores = (q @ k.transpose(2, 3)).view(batch, heads, targets, length)
        probs = (scores if bias is None else scores + bias).softmax(-1)
        context = self.probs_dropout(probs).view(*grouped, length) @ v
        return context.view(batch, heads, targets, head_dim), scores


class FeedForward(nn.Module):
    """Two products around an activation."""

    def __init__(self, config: SlimBertConfig, widths: LayerWidths) -> None:
        super().__init__()
        self.intermediate = Linear(config.hidden_size, widths.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = Linear(widths.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor, gate: Tensor | None) -> Tensor:
        """Transform (batch, targets, hidden)."""
        active: Tensor = self.activation(self.intermediate(x))
        if gate is not None:
            active = active * gate.unsqueeze(-2)
        narrowed: Tensor = self.output(active)
        return narrowed


class Layer(nn.Module):
    """Post-LN: x = norm(x + attention(x)), then x = norm(x + ffn(x))."""

    def __init__(self, config: SlimBertConfig, widths: LayerWidths) -> None:
        super().__init__()
        self.attention = Attention(config, widths)
        self.attention_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.ffn = FeedForward(config, widths)
        self.ffn_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        bias: Tensor | None = None,
        head_gate: Tensor | None = None,
        ffn_gate: Tensor | None = None,
        hidden_gate: Tensor | None = None,
        want_scores: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the next states of some tokens, and their attention scores if they are wanted.

        Args:
            x: (batch, targets, hidden), the tokens to go on with: all of `memory`, or its first.
            memory: (batch, length, hidden), the tokens that they attend to.
            bias: Added to the scores, broadcast to (batch, heads, targets, length).
            head_gate: See `Gates`, as `ffn_gate` and `hidden_gate`.
            ffn_gate: On the activation.
            hidden_gate: In both norms.
            want_scores: Whether the scores are kept.
        """
        attended, scores = self.attention(x, memory, bias, head_gate, want_scores)
        x = self.attention_norm(x + self.dropout(attended), hidden_gate)
        x = self.ffn_norm(x + self.dropout(self.ffn(x, ffn_gate)), hidden_gate)
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


class MaskedLMHead(nn.Module):
    """Scores every word of the vocabulary; the decoder is the word embedding table."""

    def __init__(self, config: SlimBertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.embedding_size)
        self.activation = ACT2FN[config.mlm_activation]
        self.layer_norm = LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor, word_embeddings: Tensor) -> Tensor:
        """Turn (batch, length, hidden) into (batch, length, vocabulary)."""
        x = self.layer_norm(self.activation(self.dense(x)))
        return functional.linear(x, word_embeddings, self.bias)
