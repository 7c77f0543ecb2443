"""The configuration of a slimmed BERT: the family's settings, and a width of its own per layer.

Like `modeling.py`, this file is copied into checkpoints.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class LayerWidths:
    """What one encoder layer computes with.

    A `window` of W lets position i attend to j where |i - j| <= W // 2; position 0 attends to all
    and is attended by all. None is full attention.
    """

    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    window: int | None


class SlimBertConfig(PreTrainedConfig):
    """Settings of `SlimBertModel`; heads, K/V heads, FFN widths and windows may differ by layer.

    Uneven layers are kept in transformers' `per_layer_config`; reading such an attribute from the
    whole configuration raises, so read widths through `layer_widths`.
    """

    model_type: ClassVar[str] = "slim_bert"

    family: str = "bert"
    vocab_size: int = 30522
    embedding_size: int = 0
    """0: `hidden_size`. If it differs, a projection follows the embeddings (ELECTRA)."""
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_key_value_heads: int = 0
    """0: as many as query heads. Fewer are shared by equal groups of neighbouring query heads."""
    head_dim: int = 0
    """0: `hidden_size // num_attention_heads`."""
    intermediate_size: int = 3072
    attention_window: int | None = None
    hidden_act: str = "gelu"
    mlm_activation: str = "gelu"
    pooler_activation: str | None = None
    """The pooler's activation; None where the model has no pooler."""
    max_position_embeddings: int = 512
    position_offset: int = 0
    """0: positions count 0, 1, 2... Otherwise (RoBERTa) the first non-padding token's position;
    padding tokens are not counted and share the position before it."""
    type_vocab_size: int = 2
    """0: the model has no token types."""
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    """None: `hidden_dropout_prob`."""
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tokenizer_class: str | None = None
    stock: dict[str, Any] | None = None
    """The family's own configuration as it was read, for an exact way back."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the widths that follow from others."""
        self.embedding_size = self.embedding_size or self.hidden_size
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.head_dim or self.hidden_size // max(1, self.num_attention_heads)
        super().__post_init__(**kwargs)

    @property
    def head_dropout(self) -> float:
        """Dropout in front of a classifier."""
        p = self.classifier_dropout
        return self.hidden_dropout_prob if p is None else p

    @property
    def padding_id(self) -> int:
        """What fills short rows; masked, so any word will do where none is set aside for it."""
        return self.pad_token_id or 0

    @property
    def positions(self) -> int:
        """How many tokens it can read."""
        return self.max_position_embeddings - self.position_offset

    @property
    def reads_token_types(self) -> bool:
        """Whether it tells the second text of a pair from the first."""
        return self.type_vocab_size > 1


def layer_widths(config: SlimBertConfig) -> tuple[LayerWidths, ...]:
    """Widths of every encoder layer, first layer first."""
    return tuple(
        LayerWidths(
            heads=layer.num_attention_heads,
            kv_heads=layer.num_key_value_heads,
            head_dim=layer.head_dim,
            intermediate_size=layer.intermediate_size,
            window=layer.attention_window,
        )
        for layer in config.per_layer_config
    )


def with_widths(config: SlimBertConfig, widths: Sequence[LayerWidths]) -> SlimBertConfig:
    """Return a copy of `config` with these layers; the most frequent widths become the global ones.

    The head size is the model's, not a layer's, and is left alone.
    """
    changed = copy.deepcopy(config)
    changed.per_layer_config = None
    changed.num_hidden_layers = len(widths)
    if not widths:
        return changed
    for name, value in _attributes(Counter(widths).most_common(1)[0][0]).items():
        setattr(changed, name, value)
    if len(set(widths)) > 1:
        changed.per_layer_config = {i: _attributes(layer) for i, layer in enumerate(widths)}
    return changed


def _attributes(widths: LayerWidths) -> dict[str, int | None]:
    return {
        "num_attention_heads": widths.heads,
        "num_key_value_heads": widths.kv_heads,
        "intermediate_size": widths.intermediate_size,
        "attention_window": widths.window,
    }
