"""How large a recurrent model is and how much it computes, from its configuration alone."""

from bertslim.model.counts import ParameterCounts
from bertslim.model.families.family import ENCODER, SEQUENCES, TOKENS
from bertslim.model.lstm.configuration import SlimLstmConfig


def parameter_counts(config: SlimLstmConfig, head: str) -> ParameterCounts:
    """Count the weights of a model with a head, such as `ForSequenceClassification`.

    How words are spelt is data and not counted.
    """
    embedding = config.vocab_size * config.embedding_size
    if config.characters:
        width = config.character_size
        embedding += config.characters * width
        embedding += (config.character_kernel * width + 1) * config.character_filters
    hidden = config.hidden_size
    layers = tuple(8 * hidden * (inputs + hidden) + 6 * hidden for inputs in config.layer_inputs)
    return ParameterCounts(embedding, layers, _head_parameters(config, head))


def flops(config: SlimLstmConfig, head: str, length: int) -> int:
    """Multiplications and additions of all matrix products for one sequence.

    A pair is read twice over its whole length, once for each of its texts. The answers to letters
    are a table once the model is trained, and not counted. What a CRF adds to the logits is no
    product of matrices.
    """
    hidden, texts = config.hidden_size, 2 if config.pairs and head == SEQUENCES else 1
    steps = sum(8 * hidden * (inputs + hidden) for inputs in config.layer_inputs)
    products = texts * length * steps
    if head == SEQUENCES:
        pooled = _attention_products(config, length) if config.pooling == "attention" else 0
        products += texts * pooled + _classifier_products(config, head)
    elif head != ENCODER:
        products += length * _classifier_products(config, head)
    return 2 * products


def _head_parameters(config: SlimLstmConfig, head: str) -> int:
    if head == ENCODER:
        return 0
    size, attends = config.state_size, config.pooling == "attention" and head == SEQUENCES
    labels = config.num_labels or 0
    attention = size * size + 2 * size if attends else 0
    chain = labels * labels + 2 * labels if config.crf and head == TOKENS else 0
    return attention + _classifier_products(config, head) + config.head_size + labels + chain


def _attention_products(config: SlimLstmConfig, length: int) -> int:
    """Multiply-adds of scores and mean over one text."""
    size = config.state_size
    return length * (size * size + 2 * size)


def _classifier_products(config: SlimLstmConfig, head: str) -> int:
    inputs = config.state_size * (4 if config.pairs and head == SEQUENCES else 1)
    labels, inner = config.num_labels or 0, config.head_size
    return inputs * inner + inner * labels if inner else inputs * labels
