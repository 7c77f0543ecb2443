"""What can be int8 or float by itself, by the path of its module.

These are linear layers, the inner products of attentions, and the table of word embeddings.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from bertslim.methods.quantize.observe import PRODUCTS, encoder_path
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization


def units(model: SlimBertPreTrainedModel, quantization: Quantization) -> tuple[str, ...]:
    """Return the paths of all that is int8."""
    table = (table_path(model),) if quantization.embedding else ()
    return (*quantization.inputs, *attention_paths(quantization), *table)


def attention_paths(quantization: Quantization) -> tuple[str, ...]:
    """Return the attentions whose inner products are int8."""
    products = quantization.products
    paths = dict.fromkeys(attention_of(path) for path in products)
    return tuple(p for p in paths if all(f"{p}.{part}" in products for part in PRODUCTS))


def attention_of(path: str) -> str:
    """Return the attention that a query, key or value belongs to."""
    return path.rpartition(".")[0]


def table_path(model: SlimBertPreTrainedModel) -> str:
    """Return the path of the word embedding table."""
    return f"{encoder_path(model)}.embeddings.word_embeddings".removeprefix(".")


def restricted(
    model: SlimBertPreTrainedModel, quantization: Quantization, keep: Callable[[str], bool]
) -> Quantization:
    """Return what is left in int8 if only some of its units are kept."""
    return replace(
        quantization,
        inputs={path: found for path, found in quantization.inputs.items() if keep(path)},
        products={p: found for p, found in quantization.products.items() if keep(attention_of(p))},
        smoothing={path: s for path, s in quantization.smoothing.items() if keep(path)},
        embedding=quantization.embedding and keep(table_path(model)),
    )


def excepting(
    model: SlimBertPreTrainedModel, quantization: Quantization, reasons: Mapping[str, str]
) -> Quantization:
    """Leave units in float, each for a reason."""
    left = restricted(model, quantization, lambda unit: unit not in reasons)
    return replace(left, exceptions={**quantization.exceptions, **reasons})
