"""The written graph computes what PyTorch computes, for every head, width and family."""

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
import torch

from bertslim.errors import CheckpointError
from bertslim.graph.emit import emit
from bertslim.model.configuration import LayerWidths, SlimBertConfig, with_widths
from bertslim.model.modeling import (
    SlimBertForMaskedLM,
    SlimBertForQuestionAnswering,
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.model.running import run_model
from bertslim.model.surgery import keep_hidden
from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.onnxruntime_ import open_session, session_options
from bertslim.runtime.openvino_ import only_core

FULL = LayerWidths(heads=4, kv_heads=4, head_dim=8, intermediate_size=48, window=None)
WIDTHS = {
    "full": [FULL, FULL],
    "uneven": [LayerWidths(3, 3, 8, 37, None), LayerWidths(2, 2, 8, 64, None)],
    "one head": [LayerWidths(1, 1, 8, 48, None), FULL],
    "no heads": [LayerWidths(0, 0, 8, 48, None), FULL],
    "no units": [LayerWidths(4, 4, 8, 0, None), LayerWidths(0, 0, 8, 0, None)],
    "one shared key": [LayerWidths(4, 1, 8, 48, None), FULL],
    "keys shared in pairs": [LayerWidths(4, 2, 8, 48, None), LayerWidths(6, 2, 8, 48, None)],
    "windows": [LayerWidths(4, 4, 8, 48, 4), LayerWidths(4, 2, 8, 48, 6), FULL],
}
HEADS = (
    SlimBertModel,
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
    SlimBertForQuestionAnswering,
    SlimBertForMaskedLM,
)
FAMILIES: dict[str, dict[str, object]] = {
    "bert": {"pooler_activation": "tanh"},
    "roberta": {"position_offset": 2, "type_vocab_size": 1, "pad_token_id": 1},
    "distilbert": {"type_vocab_size": 0, "pooler_activation": "relu"},
    "electra": {"embedding_size": 16, "pooler_activation": "gelu"},
}
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def random_model(
    head: type[SlimBertPreTrainedModel] = SlimBertForTokenClassification,
    widths: list[LayerWidths] = WIDTHS["full"],
    **settings: object,
) -> SlimBertPreTrainedModel:
    torch.manual_seed(0)
    defaults = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_labels": 3}
    positions = {"max_position_embeddings": 24}
    model = head(with_widths(SlimBertConfig(**{**defaults, **positions, **settings}), widths))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model.eval()


def padded_batch(model: SlimBertPreTrainedModel, lengths: list[int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    ids = random.integers(2, 64, mask.shape)
    batch = {
        "input_ids": np.where(mask == 1, ids, model.config.pad_token_id),
        "attention_mask": mask,
    }
    if model.config.type_vocab_size > 1:
        batch["token_type_ids"] = random.integers(0, 2, mask.shape)
    return batch


def on_onnxruntime(graph: bytes, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = open_session(graph, session_options(EngineSettings(threads=1)))
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(batch)), strict=True))


def on_openvino(graph: bytes, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    model = only_core().read_model(graph)
    names = [value.name for value in onnx.load_from_string(graph).graph.output]
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = only_core().compile_model(model, "CPU", exact)
    results = compiled(dict(batch))
    return {name: results[name] for name in names}


def assert_same_everywhere(model: SlimBertPreTrainedModel, *batches: list[int]) -> None:
    graph = emit(model)
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString()
    for lengths in batches or ([9, 5, 1],):
        batch = padded_batch(model, lengths)
        expected = run_model(model, batch)
        for run in (on_onnxruntime, on_openvino):
            outputs = run(data, batch)
            assert outputs.keys() == expected.keys()
            for name in expected:
                np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_of_every_family(family: str, head: type[SlimBertPreTrainedModel]) -> None:
    assert_same_everywhere(random_model(head, **FAMILIES[family]))


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_width(widths: str) -> None:
    assert_same_everywhere(random_model(widths=WIDTHS[widths]))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_state_narrower_than_its_heads(
    family: str, head: type[SlimBertPreTrainedModel]
) -> None:
    model = random_model(head, WIDTHS["uneven"], **FAMILIES[family])
    assert_same_everywhere(keep_hidden(model, range(3, 24)))


def test_batch_and_length_are_free() -> None:
    assert_same_everywhere(random_model(widths=WIDTHS["windows"]), [12, 7], [3], [1, 24, 2, 9, 20])


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_every_activation(activation: str) -> None:
    model = random_model(SlimBertForMaskedLM, hidden_act=activation, mlm_activation=activation)
    assert_same_everywhere(model)


@pytest.mark.parametrize("pooler", ["tanh", None])
@pytest.mark.parametrize("widths", [*WIDTHS, "window last", "one layer", "no layers"])
def test_the_last_layer_of_a_classifier_goes_on_with_the_first_token(
    widths: str, pooler: str | None
) -> None:
    layers = {**WIDTHS, "window last": WIDTHS["windows"][:2], "one layer": [FULL], "no layers": []}
    model = random_model(
        SlimBertForSequenceClassification, layers[widths], pooler_activation=pooler
    )
    assert_same_everywhere(model, [9, 5, 1], [3])


def test_only_the_last_layer_of_a_classifier_is_narrow() -> None:
    graph = emit(random_model(SlimBertForSequenceClassification, [FULL] * 3))
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph
    widths = {
        value.name: value.type.tensor_type.shape.dim[1]
        for value in inferred.value_info
        if value.name.endswith(("query/bias", "key/bias", "ffn.output/bias"))
    }
    narrow = {name for name, tokens in widths.items() if tokens.dim_value == 1}
    last = "bert.layers.2"
    assert len(widths) == 9
    assert narrow == {f"{last}.attention.query/bias", f"{last}.ffn.output/bias"}


def test_of_an_attention_without_heads_an_addition_is_left() -> None:
    graph = emit(random_model(widths=WIDTHS["no heads"])).graph
    nodes = [node for node in graph.node if node.name.startswith("bert.layers.0.attention")]
    assert [(node.op_type, node.name) for node in nodes] == [
        ("Add", "bert.layers.0.attention_norm/residual"),
        ("LayerNormalization", "bert.layers.0.attention_norm/norm"),
    ]
    stored = {tensor.name for tensor in graph.initializer if "layers.0.attention." in tensor.name}
    assert stored == {"bert.layers.0.attention.output.bias"}


def test_regression_has_one_output() -> None:
    model = random_model(
        SlimBertForSequenceClassification,
        num_labels=1,
        problem_type="regression",
        pooler_activation="tanh",
    )
    assert_same_everywhere(model)
    assert run_model(model, padded_batch(model, [4, 2]))["logits"].shape == (2, 1)


def test_a_half_precision_model_is_written_in_fp32() -> None:
    graph = emit(random_model().to(torch.float16))
    kinds = {tensor.data_type for tensor in graph.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


@pytest.mark.parametrize(
    ("family", "inputs"),
    [("bert", INPUTS), ("electra", INPUTS), ("roberta", INPUTS[:2]), ("distilbert", INPUTS[:2])],
)
def test_inputs_of_a_family(family: str, inputs: list[str]) -> None:
    graph = emit(random_model(**FAMILIES[family])).graph
    assert [value.name for value in graph.input] == inputs


def test_nodes_lead_to_modules_and_each_weight_is_stored_once() -> None:
    model = random_model(SlimBertForMaskedLM, widths=WIDTHS["keys shared in pairs"])
    graph = emit(model).graph
    modules = {name for name, _ in model.named_modules()}
    products = [node.name for node in graph.node if node.op_type in ("MatMul", "Gelu")]
    owners = {name.split("/")[0] for name in products}
    assert owners - modules == {"mlm.decoder"}
    stored = [tensor.name for tensor in graph.initializer]
    assert len(stored) == len(set(stored))
    assert {name for name in stored if "." in name} == set(model.state_dict())


def test_operators_are_the_ones_that_runtimes_fuse() -> None:
    graph = emit(random_model(widths=[FULL] * 3)).graph
    count = [node.op_type for node in graph.node].count
    assert (count("LayerNormalization"), count("Gelu"), count("Softmax")) == (7, 3, 3)
    # six products a layer with weights, two without; no scaling of the scores
    assert (count("MatMul"), count("Mul")) == (3 * 8 + 1, 1)


def test_an_activation_without_an_operator_is_named() -> None:
    with pytest.raises(CheckpointError, match="'silu' has no ONNX operator"):
        emit(random_model(hidden_act="silu"))
