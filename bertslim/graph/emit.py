"""A model becomes an ONNX graph, in the form that is asked for; batch and length are free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from onnx import ModelProto

from bertslim.errors import CheckpointError
from bertslim.graph import heads, recurrent
from bertslim.graph.encoder import encoder
from bertslim.graph.form import PLAIN, Form
from bertslim.graph.nodes import GraphBuilder
from bertslim.graph.recurrent.embeddings import letter_tables
from bertslim.model import modeling
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel
from bertslim.model.signature import INPUTS
from bertslim.model.slim import SlimConfig, SlimModel
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
    """
    g = GraphBuilder(_weights(model, form), form)
    for name in input_names(model.config):
        g.input(name, [heads.BATCH, heads.LENGTH])
    if isinstance(model, SlimLstmPreTrainedModel):
        recurrent.HEADS[type(model)](g, model.config)
    else:
        _transformer(g, model)
    _refuse_too_large(g.model)
    g.model.graph.name = type(model).__name__
    return Written(g.model, tuple(g.fusions), dict(g.gemms))


def _transformer(g: GraphBuilder, model: modeling.SlimBertPreTrainedModel) -> None:
    prefix = "" if isinstance(model, modeling.SlimBertModel) else "bert."
    x = encoder(g, model.config, prefix, first_token_only=model.first_token_only)
    HEADS[type(model)](g, model.config, x)


def _weights(model: SlimModel, form: Form) -> dict[str, torch.Tensor]:
    weights = {name: t.to("cpu", torch.float32) for name, t in model.state_dict().items()}
    return weights | letter_tables(model) if form.letters == "table" else weights


def input_names(config: SlimConfig) -> tuple[str, ...]:
    """Inputs of the graph; token types are one of them only if there are two or more."""
    return INPUTS if config.reads_token_types else INPUTS[:2]


def _refuse_too_large(graph: ModelProto) -> None:
    size = sum(len(tensor.raw_data) for tensor in graph.graph.initializer)
    if size > LARGEST:
        raise CheckpointError(
            f"the weights take {size / 2**30:.1f} GiB; one ONNX file holds less than 2",
            "prune the model or its vocabulary first",
        )
