"""How large a model is and how much it computes, from its configuration alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from bertslim.model.configuration import SlimBertConfig, layer_widths
from bertslim.model.counts import ParameterCounts
from bertslim.model.families.family import ENCODER, SEQUENCES, SPANS, WORDS
from bertslim.model.lstm import shapes as lstm
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.slim import SlimConfig, SlimModel, head_of_model
from bertslim.model.windows import scores_of

LENGTH = 128
"""Tokens per sequence that FLOPs are stated for where no other length is asked for."""

Count = TypeVar("Count", int, Tensor)
"""A number of things, or the expected number (a scalar tensor, which can be differentiated)."""


@dataclass(frozen=True, slots=True)
class LayerShape(Generic[Count]):
    """What a layer's size follows from."""

    hidden: Count
    heads: Count
    kv_heads: Count
    units: Count
    head_dim: int
    window: int | None


def parameter_counts(model: SlimModel | SlimConfig) -> ParameterCounts:
    """Count the weights of a model, or of what its configuration describes."""
    config = model if isinstance(model, SlimConfig) else model.config
    head = head_of_model(model)
    if isinstance(config, SlimLstmConfig):
        return lstm.parameter_counts(config, head)
    return ParameterCounts(
        embedding=_embedding_parameters(config),
        layers=tuple(map(layer_parameters, layer_shapes(config))),
        head=_head_parameters(config, head),
    )


def flops(config: SlimConfig, length: int) -> int:
    """Multiplications and additions of all matrix products for one sequence.

    Counted is what is computed. Attention within a window counts as in blocks, see `windows`; where
    it is a mask, its products are those of full attention. A classifier of sequences reads the
    first token alone: its last layer computes keys and values for every token, and all else for
    that one.

    Args:
        config: The model; `architectures` tells its head.
        length: Tokens in the sequence.
    """
    head = head_of_model(config)
    if isinstance(config, SlimLstmConfig):
        return lstm.flops(config, head, length)
    hidden = config.hidden_size
    projection = config.embedding_size * hidden if config.embedding_size != hidden else 0
    around = length * projection + _head_products(config, head, length)
    return encoder_flops(config, length) + 2 * around


def encoder_flops(config: SlimBertConfig, length: int) -> int:
    """Count those of the layers alone, without embeddings and head."""
    return sum(layer_flops(config, layer_shapes(config), length))


def layer_shapes(config: SlimBertConfig) -> tuple[LayerShape[int], ...]:
    """Shape of every encoder layer, first layer first."""
    return tuple(
        LayerShape(
            config.hidden_size, w.heads, w.kv_heads, w.intermediate_size, w.head_dim, w.window
        )
        for w in layer_widths(config)
    )


def layer_parameters(shape: LayerShape[Count]) -> Count:
    """Count the weights of a layer; linear in each number, so it takes expected ones as well."""
    hidden, inner = shape.hidden, shape.heads * shape.head_dim
    shared = shape.kv_heads * shape.head_dim
    attention = _linear(hidden, inner) + 2 * _linear(hidden, shared) + _linear(inner, hidden)
    ffn = _linear(hidden, shape.units) + _linear(shape.units, hidden)
    return attention + ffn + 2 * 2 * hidden


def layer_flops(
    config: SlimBertConfig, shapes: Sequence[LayerShape[Count]], length: int
) -> list[Count]:
    """Count what each layer computes for one sequence; linear in each number of a shape.

    Args:
        config: Tells the head; a classifier's last layer goes on with the first token alone.
        shapes: Of the layers.
        length: Tokens in the sequence.
    """
    targets = targets_of_layers(config, length)
    return [
        attention_flops(shape, n, length) + ffn_flops(shape, n)
        for shape, n in zip(shapes, targets, strict=True)
    ]


def targets_of_layers(config: SlimBertConfig, length: int) -> tuple[int, ...]:
    """Return per layer how many of `length` tokens it goes on with."""
    count = config.num_hidden_layers
    last = 1 if head_of_model(config) == SEQUENCES else length
    return tuple(length if number < count - 1 else last for number in range(count))


def attention_flops(shape: LayerShape[Count], targets: int, length: int) -> Count:
    """Count those of an attention in which `targets` of `length` tokens look."""
    inner, shared = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    projections = 2 * shape.hidden * (targets * inner + length * shared)
    return 2 * (projections + 2 * scores_of(shape.window, targets, length) * inner)


def ffn_flops(shape: LayerShape[Count], targets: int) -> Count:
    """Count those of a feed-forward part, for `targets` tokens."""
    return 4 * targets * shape.hidden * shape.units


def _linear(inputs: Count, outputs: Count) -> Count:
    return inputs * outputs + outputs


def _embedding_parameters(config: SlimBertConfig) -> int:
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    width, hidden = config.embedding_size, config.hidden_size
    return rows * width + 2 * width + (_linear(width, hidden) if width != hidden else 0)


def _head_parameters(config: SlimBertConfig, head: str) -> int:
    hidden, width = config.hidden_size, config.embedding_size
    pooler = _linear(hidden, hidden) if config.pooler_activation else 0
    if head == WORDS:
        return pooler + _linear(hidden, width) + 2 * width + config.vocab_size
    return pooler + (_linear(hidden, _classes(config, head)) if head != ENCODER else 0)


def _head_products(config: SlimBertConfig, head: str, length: int) -> int:
    """Multiply-adds of the pooler (on one token) and the head."""
    hidden, width = config.hidden_size, config.embedding_size
    pooler = hidden * hidden if config.pooler_activation else 0
    if head == WORDS:
        return pooler + length * (hidden * width + width * config.vocab_size)
    if head == ENCODER:
        return pooler
    return pooler + (1 if head == SEQUENCES else length) * hidden * _classes(config, head)


def _classes(config: SlimBertConfig, head: str) -> int:
    """Outputs of a classifier."""
    return 2 if head == SPANS else config.num_labels or 0
