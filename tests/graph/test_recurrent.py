"""The written graph of a recurrent model computes what PyTorch computes."""

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
import torch

from bertslim.graph.emit import emit
from bertslim.graph.form import PLAIN, Form
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
