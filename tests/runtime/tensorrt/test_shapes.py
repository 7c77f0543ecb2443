"""Which engine a batch goes to, and that padding it changes nothing."""

import numpy as np
import pytest

from bertslim.graph.emit import emit
from bertslim.model.modeling import SlimBertForQuestionAnswering, SlimBertForSequenceClassification
from bertslim.runtime import agreement
from bertslim.runtime.engine import EngineSettings, Source, build
from bertslim.runtime.tensorrt.shapes import cut, padded, shape_for
from tests.runtime.tensorrt.worlds import random_model


@pytest.mark.parametrize(
    ("batch", "held", "expected"),
    [
        ((8, 128), [(8, 128), (16, 256)], (8, 128)),
        ((5, 100), [(32, 128), (8, 128), (8, 64)], (8, 128)),
        ((5, 100), [(4, 128), (8, 64)], (8, 128)),
        ((5, 100), [], (8, 128)),
        ((1, 1), [], (1, 64)),
        ((33, 129), [], (64, 192)),
        ((8, 510), [], (8, 512)),
        ((8, 512), [], (8, 512)),
    ],
)
def test_the_engine_of_a_batch(
    batch: tuple[int, int], held: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    assert shape_for(batch, held, longest=512) == expected


def test_no_engine_is_longer_than_the_model_takes() -> None:
    assert shape_for((2, 30), [], longest=40) == (2, 40)


@pytest.mark.parametrize("head", [SlimBertForSequenceClassification, SlimBertForQuestionAnswering])
def test_rows_and_tokens_that_fill_up_change_nothing(head: type) -> None:
    model = random_model(head=head, num_labels=9)
    source = Source(model, graph=lambda *_: emit(model).SerializeToString())
    engine = build("onnxruntime", "fp32", source, EngineSettings(threads=1))
    batch = agreement.padded_batch(model.config, 3, 9, seed=0)
    larger = padded(batch, (4, 16))
    assert {values.shape for values in larger.values()} == {(4, 16)}
    expected, outputs = engine.run(batch), cut(engine.run(larger), (3, 9))
    for name, values in expected.items():
        assert outputs[name].shape == values.shape
    assert agreement.largest_difference(outputs, expected, batch) < 1e-5


def test_outputs_of_each_kind_are_cut() -> None:
    outputs = {
        "logits": np.zeros((4, 16), np.float32),
        "start_logits": np.zeros((4, 16), np.float32),
        "last_hidden_state": np.zeros((4, 16, 8), np.float32),
    }
    shapes = {name: values.shape for name, values in cut(outputs, (3, 9)).items()}
    assert shapes == {"logits": (3, 16), "start_logits": (3, 9), "last_hidden_state": (3, 9, 8)}
