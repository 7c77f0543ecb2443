"""How large a model is and how much it computes, from its configuration alone."""

from dataclasses import dataclass

from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths
from bertslim.model.families.family import ENCODER, SEQUENCES, SPANS, WORDS
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.stock import BASE


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Numbers of weights.

    Attributes:
        embedding: Tables, their norm, and the projection behind them.
        layers: Per encoder layer.
        head: Pooler and task head; a masked-LM decoder is the embedding table, counted there.
    """

    embedding: int
    layers: tuple[int, ...]
    head: int

    @property
    def encoder(self) -> int:
        """All layers together."""
        return sum(self.layers)

    @property
    def total(self) -> int:
        """Everything."""
        return self.embedding + self.encoder + self.head


def parameter_counts(model: SlimBertPreTrainedModel | SlimBertConfig) -> ParameterCounts:
    """Count the weights of a model, or of what its configuration describes."""
    config = model if isinstance(model, SlimBertConfig) else model.config
    head = _head(model)
    return ParameterCounts(
        embedding=_embedding_parameters(config),
        layers=tuple(_layer_parameters(config.hidden_size, w) for w in layer_widths(config)),
        head=_head_parameters(config, head),
    )


def flops(config: SlimBertConfig, length: int) -> int:
    """Multiplications and additions of all matrix products for one sequence.

    Counted is what is computed. A window hides scores but saves no work: the products are those of
    full attention. A classifier of sequences reads the first token alone: its last layer computes
    keys and values for every token, and all else for that one.

    Args:
        config: The model; `architectures` tells its head.
        length: Tokens in the sequence.
    """
    hidden = config.hidden_size
    projection = config.embedding_size * hidden if config.embedding_size != hidden else 0
    around = length * projection + _head_products(config, _head(config), length)
    return encoder_flops(config, length) + 2 * around


def encoder_flops(config: SlimBertConfig, length: int) -> int:
    """Count those of the layers alone, without embeddings and head."""
    layers = zip(layer_widths(config), targets_of_layers(config, length), strict=True)
    return sum(attention_flops(config, w, t, length) + ffn_flops(config, w, t) for w, t in layers)


def targets_of_layers(config: SlimBertConfig, length: int) -> tuple[int, ...]:
    """Return per layer how many of `length` tokens it goes on with."""
    count = config.num_hidden_layers
    last = 1 if _head(config) == SEQUENCES else length
    return tuple(length if number < count - 1 else last for number in range(count))


def attention_flops(config: SlimBertConfig, widths: LayerWidths, targets: int, length: int) -> int:
    """Count those of an attention of such widths, in which `targets` of `length` tokens look."""
    hidden = config.hidden_size
    inner, shared = widths.heads * widths.head_dim, widths.kv_heads * widths.head_dim
    projections = 2 * hidden * (targets * inner + length * shared)
    return 2 * (projections + 2 * targets * length * inner)


def ffn_flops(config: SlimBertConfig, widths: LayerWidths, targets: int) -> int:
    """Count those of a feed-forward part of such a width, for `targets` tokens."""
    return 2 * 2 * targets * config.hidden_size * widths.intermediate_size


def _head(model: SlimBertPreTrainedModel | SlimBertConfig) -> str:
    if isinstance(model, SlimBertConfig):
        return (model.architectures or [BASE + ENCODER])[0].removeprefix(BASE)
    return type(model).__name__.removeprefix(BASE)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _embedding_parameters(config: SlimBertConfig) -> int:
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    width, hidden = config.embedding_size, config.hidden_size
    return rows * width + 2 * width + (_linear(width, hidden) if width != hidden else 0)


def _layer_parameters(hidden: int, widths: LayerWidths) -> int:
    inner, shared = widths.heads * widths.head_dim, widths.kv_heads * widths.head_dim
    attention = _linear(hidden, inner) + 2 * _linear(hidden, shared) + _linear(inner, hidden)
    ffn = _linear(hidden, widths.intermediate_size) + _linear(widths.intermediate_size, hidden)
    return attention + ffn + 2 * 2 * hidden


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
