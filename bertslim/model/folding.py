"""Gates become weights: what they multiply is multiplied once and for all."""

from collections.abc import Sequence

from torch import Tensor

from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import (
    Gates,
    SlimBertForMaskedLM,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.model.rebuilding import rebuilt
from bertslim.model.surgery import keep_hidden, remove_ffn_units, remove_heads


def fold_gates(model: SlimBertPreTrainedModel, gates: Gates) -> SlimBertPreTrainedModel:
    """Multiply gates into the weights behind them.

    The new model computes what the gated one does, as soon as the channels with a hidden gate of 0
    are removed (`surgery.keep_hidden`): until then its norms still count them.

    Args:
        model: Any canonical model.
        gates: One value per head, unit and channel, the same for all examples.

    Raises:
        ValueError: If gates differ between examples, or no weight comes behind one of them: a
            pooler without a classifier, a decoder that is the word table.
    """
    _refuse_what_has_no_weight(model, gates)
    tensors = dict(model.state_dict())
    prefix = "" if isinstance(model, SlimBertModel) else "bert."
    for number, widths in enumerate(layer_widths(model.config)):
        layer = f"{prefix}layers.{number}."
        heads, units, _ = gates.of_layer(number)
        if heads is not None:
            columns = heads.repeat_interleave(widths.head_dim)
            _multiply(tensors, f"{layer}attention.output.weight", columns)
        if units is not None:
            _multiply(tensors, f"{layer}ffn.output.weight", units)
    if gates.hidden is not None:
        _fold_hidden(model, tensors, prefix, gates.hidden)
    return rebuilt(model, model.config, tensors)


def without_closed(model: SlimBertPreTrainedModel, gates: Gates) -> SlimBertPreTrainedModel:
    """Fold gates and remove what has a gate of 0: a smaller model that computes the same.

    Raises:
        ValueError: As `fold_gates`.
    """
    smaller = fold_gates(model, gates)
    if gates.heads is not None:
        smaller = remove_heads(smaller, _closed(gates.heads))
    if gates.ffn is not None:
        smaller = remove_ffn_units(smaller, _closed(gates.ffn))
    if gates.hidden is not None:
        smaller = keep_hidden(smaller, gates.hidden.nonzero().flatten().tolist())
    return smaller


def _closed(gates: Sequence[Tensor]) -> dict[int, list[int]]:
    return {n: (gate == 0).nonzero().flatten().tolist() for n, gate in enumerate(gates)}


def _refuse_what_has_no_weight(model: SlimBertPreTrainedModel, gates: Gates) -> None:
    every = [*(gates.heads or ()), *(gates.ffn or ()), gates.hidden]
    if any(gate is not None and gate.ndim > 1 for gate in every):
        raise ValueError("gates that differ between examples cannot become weights")
    if gates.hidden is None:
        return
    if isinstance(model, SlimBertForMaskedLM):
        raise ValueError("a masked language model's hidden state cannot be gated")
    partly = ((gates.hidden > 0) & (gates.hidden < 1)).any()
    if isinstance(model, SlimBertModel) and model.config.pooler_activation and partly:
        raise ValueError("the pooler's output has no weight behind it, so its gates must be 0 or 1")


def _fold_hidden(
    model: SlimBertPreTrainedModel, tensors: dict[str, Tensor], prefix: str, gate: Tensor
) -> None:
    """The norms' outputs, or the projection's, are gated; a classifier reads a gated pooler."""
    projected = model.config.embedding_size != model.config.hidden_size
    if projected:
        _multiply(tensors, f"{prefix}embeddings.projection.weight", gate[:, None])
        _multiply(tensors, f"{prefix}embeddings.projection.bias", gate)
    norms = [] if projected else [f"{prefix}embeddings.layer_norm"]
    for number in range(model.config.num_hidden_layers):
        layer = f"{prefix}layers.{number}"
        norms += [f"{layer}.attention_norm", f"{layer}.ffn_norm"]
    for norm in norms:
        _multiply(tensors, f"{norm}.weight", gate)
        _multiply(tensors, f"{norm}.bias", gate)
    if model.config.pooler_activation and "classifier.weight" in tensors:
        _multiply(tensors, "classifier.weight", gate)


def _multiply(tensors: dict[str, Tensor], name: str, factors: Tensor) -> None:
    tensors[name] = tensors[name] * factors
