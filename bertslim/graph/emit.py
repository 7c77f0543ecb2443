"""A model becomes an ONNX graph, in the form that is asked for; batch and length are free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from onnx import ModelProto

from bertslim.errors import CheckpointError, UnavailableError
from bertslim.graph import heads
from bertslim.graph.encoder import encoder
from bertslim.graph.form import PLAIN, Form
from bertslim.graph.nodes import GraphBuilder
from bertslim.model import modeling
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel
from bertslim.model.slim import SlimModel
from bertslim.store.deployment import Fusion

Head = Callable[[GraphBuilder, SlimBertConfig, str], None]

HEADS: Mapping[type[modeling.SlimBertPreTrainedModel], Head] = {
    modeling.SlimBertModel: heads.states,
    modeling.SlimBertForSequenceClassification: heads.sequence_logits,
    modeling.SlimBertForTokenClassification: heads.token_logits,
    modeling.SlimBertForQuestionAnswering: heads.span_logits,
    modeling.SlimBertForMaskedLM: heads.word_logits,
}

LARGEST = 2**31 - 1
"""Bytes that one protobuf message can hold."""


@dataclass(frozen=True, slots=True)
class Written:
    """A graph, and what is expected of the runtime that gets it."""

    proto: ModelProto
    fusions: tuple[Fusion, ...]
    """Places whose nodes should run as one kernel."""
    gemms: Mapping[str, str]
    """By the path of a linear layer, the node that multiplies with its weights."""


def emit(model: SlimModel, form: Form = PLAIN) -> ModelProto:
    """Write the graph of a model; see `write`."""
    return write(model, form).proto


def write(model: SlimModel, form: Form = PLAIN) -> Written:
    """Write the graph of a model, straight from its weights.

    Inputs are `input_ids`, `attention_mask` and, where the model tells token types apart,
    `token_type_ids`: int64 (batch, length). Outputs are those of the PyTorch model, fp32 in any
    form: `logits`, or `start_logits` and `end_logits` (batch, length), or `last_hidden_state`
    (batch, length, hidden) and `pooler_output` (batch, hidden).

    Raises:
        CheckpointError: If the model uses what ONNX has no operator for, or exceeds 2 GiB.
        UnavailableError: If it is recurrent, for which no graph is written.
    """
    if isinstance(model, SlimLstmPreTrainedModel):
        raise UnavailableError("no graph is written of recurrent models", "take --runtime torch")
    weights = {name: t.to("cpu", torch.float32) for name, t in model.state_dict().items()}
    _refuse_too_large(weights)
    config = model.config
    g = GraphBuilder(weights, _suited(form, model))
    for name in input_names(config):
        g.input(name, [heads.BATCH, heads.LENGTH])
    prefix = "" if isinstance(model, modeling.SlimBertModel) else "bert."
    x = encoder(g, config, prefix, first_token_only=model.first_token_only)
    HEADS[type(model)](g, config, x)
    g.model.graph.name = type(model).__name__
    return Written(g.model, tuple(g.fusions), dict(g.gemms))


def input_names(config: SlimBertConfig) -> tuple[str, ...]:
    """Inputs of the graph; token types are one of them only if there are two or more."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    return names if config.type_vocab_size > 1 else names[:2]


def _suited(form: Form, model: modeling.SlimBertPreTrainedModel) -> Form:
    """Leave the table of a masked LM in float: it is also the matrix that scores the words."""
    if form.quantization is None or not isinstance(model, modeling.SlimBertForMaskedLM):
        return form
    return replace(form, quantization=replace(form.quantization, embedding=False))


def _refuse_too_large(weights: Mapping[str, torch.Tensor]) -> None:
    size = sum(tensor.numel() * 4 for tensor in weights.values())
    if size > LARGEST:
        raise CheckpointError(
            f"the weights take {size / 2**30:.1f} GiB; one ONNX file holds less than 2",
            "prune the model or its vocabulary first",
        )
