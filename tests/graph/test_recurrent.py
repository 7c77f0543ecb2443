"""The written graph of a recurrent model computes what PyTorch computes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from bertslim.graph.emit import emit
from bertslim.graph.form import PLAIN, Form
from bertslim.methods.quantize.recurrent import known_ranges
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.modeling import (
    SlimLstmForSequenceClassification,
    SlimLstmForTokenClassification,
    SlimLstmModel,
    SlimLstmPreTrainedModel,
)
from bertslim.model.running import run_model
from tests.graph.test_emit import on_onnxruntime, on_openvino

TABLE = Form(letters="table")
OWN = Form(dialect="onnxruntime", letters="table")
SPELT = {"characters": 20, "word_length": 5, "character_size": 4, "character_filters": 6}
MODELS: dict[str, tuple[type[SlimLstmPreTrainedModel], dict[str, object]]] = {
    "ends": (SlimLstmForSequenceClassification, {"pooling": "ends"}),
    "attention": (SlimLstmForSequenceClassification, {"pooling": "attention"}),
    "max": (SlimLstmForSequenceClassification, {"pooling": "max"}),
    "pair": (SlimLstmForSequenceClassification, {"pairs": True}),
    "attentive pair": (
        SlimLstmForSequenceClassification,
        {"pairs": True, "pooling": "attention", "num_hidden_layers": 2},
    ),
    "score": (
        SlimLstmForSequenceClassification,
        {"pairs": True, "pooling": "max", "num_labels": 1, "problem_type": "regression"},
    ),
    "tags": (SlimLstmForTokenClassification, {"num_hidden_layers": 2, **SPELT}),
    "no layer in front": (SlimLstmForTokenClassification, {"head_size": 0}),
    "states": (SlimLstmModel, {"num_hidden_layers": 3, **SPELT, "character_kernel": 5}),
}


def random_lstm(name: str, **changes: object) -> SlimLstmPreTrainedModel:
    torch.manual_seed(0)
    head, settings = MODELS[name]
    sizes = {"vocab_size": 64, "embedding_size": 12, "hidden_size": 8, "head_size": 10}
    model = head(SlimLstmConfig(**{**sizes, "num_labels": 3, **settings, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
        for path, buffer in model.named_buffers():
            assert path.endswith("spellings")
            buffer.random_(0, 20)
    return model.eval()


def padded_batch(lengths: list[int], *, at_left: bool = False) -> dict[str, np.ndarray]:
    """Texts of random words; each is a pair that changes somewhere."""
    random = np.random.default_rng(1)
    places = np.arange(max(lengths))
    mask = (places < np.array(lengths)[:, None]).astype(np.int64)
    mask = mask[:, ::-1].copy() if at_left else mask
    ids = np.where(mask == 1, random.integers(2, 64, mask.shape), 0)
    second = places >= random.integers(1, max(lengths) + 1, (len(lengths), 1))
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": second.astype(np.int64)}


def assert_same(
    model: SlimLstmPreTrainedModel, batch: Mapping[str, np.ndarray], form: Form = PLAIN
) -> None:
    graph = emit(model, form)
    inputs = {value.name: batch[value.name] for value in graph.graph.input}
    expected, data = run_model(model, batch), graph.SerializeToString()
    for run in (on_onnxruntime, on_openvino) if form.dialect == "standard" else (on_onnxruntime,):
        outputs = run(data, inputs)
        assert outputs.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", [PLAIN, TABLE, OWN], ids=["plain", "table", "own operators"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_any_batch_and_length(name: str, form: Form) -> None:
    model = random_lstm(name)
    for batch in (
        padded_batch([9, 5, 1]),
        padded_batch([3]),
        padded_batch([1, 1]),
        padded_batch([4, 30, 2], at_left=True),
    ):
        assert_same(model, batch, form)


@pytest.mark.parametrize("name", MODELS)
def test_graphs_are_valid(name: str) -> None:
    onnx.checker.check_model(emit(random_lstm(name)), full_check=True)


@pytest.mark.parametrize("name", MODELS)
def test_fp16(name: str) -> None:
    model, batch = random_lstm(name), padded_batch([9, 5, 1])
    graph = emit(model, replace(TABLE, floats="fp16"))
    onnx.checker.check_model(graph, full_check=True)
    inputs = {value.name: batch[value.name] for value in graph.graph.input}
    outputs = on_onnxruntime(graph.SerializeToString(), inputs)
    for output, expected in run_model(model, batch).items():
        assert outputs[output].dtype == np.float32
        np.testing.assert_allclose(outputs[output], expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("form", [TABLE, OWN, replace(OWN, dynamic=True)])
@pytest.mark.parametrize("name", MODELS)
def test_int8_is_near_and_small(name: str, form: Form) -> None:
    model, batch = random_lstm(name), padded_batch([9, 5, 1])
    graph = emit(model, replace(form, quantization=known_ranges(model)))
    inputs = {value.name: batch[value.name] for value in graph.graph.input}
    for output, expected in run_model(model, batch).items():
        found = on_onnxruntime(graph.SerializeToString(), inputs)[output]
        error = np.abs(found - expected).mean() / np.abs(expected).mean()
        assert 0 < error < 0.2
    stored = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    tables = [n for n in stored if n.endswith(("words.weight:int8", "letters.weight:int8"))]
    assert len(tables) == 1 + (model.config.characters > 0)
    lstms = [kind for n, kind in stored.items() if "_weight" in n and n.endswith("_weight:int8")]
    assert len(lstms) == (2 * model.config.num_hidden_layers if form.dynamic else 0)


def test_an_int8_lstm_has_a_scale_for_every_gate_of_every_unit() -> None:
    model = random_lstm("ends")
    graph = emit(model, replace(OWN, dynamic=True, quantization=known_ranges(model))).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    path = "lstm.layers.0.state_weight"
    real = stored[f"{path}:int8"] * stored[f"{path}:scale"][:, None, :]  # (2, hidden, 4 hidden)
    i, o, f, c = real.transpose(0, 2, 1).reshape(2, 4, 8, 8).swapaxes(0, 1)
    weights = model.get_parameter(path).detach().numpy().reshape(2, 4, 8, 8)
    largest = np.abs(weights).max(-1, keepdims=True) / 127
    for gate, found in enumerate((i, f, c, o)):
        assert np.all(np.abs(found - weights[:, gate]) <= 0.501 * largest[:, gate])


def test_letters_come_from_a_convolution_or_from_a_table() -> None:
    model = random_lstm("tags")
    plain, table = (emit(model, form).graph for form in (PLAIN, TABLE))
    assert [n.op_type for n in plain.node].count("Conv") == 1
    assert "Conv" not in {n.op_type for n in table.node}
    stored = {tensor.name: tensor.dims for tensor in table.initializer}
    assert stored["lstm.embeddings.letters.weight"] == [64, 6]


def test_nodes_lead_to_modules_and_no_lengths_are_given() -> None:
    model = random_lstm("tags")
    graph = emit(model).graph
    lstms = [node for node in graph.node if node.op_type == "LSTM"]
    assert [node.name for node in lstms] == ["lstm.layers.0/lstm", "lstm.layers.1/lstm"]
    assert {len(node.input) for node in lstms} == {4}
    modules = {name for name, _ in model.named_modules()}
    products = [n.name.split("/")[0] for n in graph.node if n.op_type in ("MatMul", "Conv")]
    assert set(products) <= modules
    assert products
