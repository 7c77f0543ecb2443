"""What the weights of a recurrent model tell of its ranges."""

import torch

from bertslim.methods.quantize.recurrent import beyond_half, known_ranges
from bertslim.model.quantization import Range
from tests.model.lstm.models import LETTERS, tiny_lstm

STATES, COMPARED = Range(-1.0, 1.0), Range(-1.0, 2.0)


def test_projections_read_states_or_what_compares_them() -> None:
    settings = {"pooling": "attention", "pairs": True}
    found = known_ranges(tiny_lstm("text-classification", **settings))
    assert found.inputs == {"pooling.dense": STATES, "classifier.dense": COMPARED}
    assert known_ranges(tiny_lstm("token-classification", pairs=True)).inputs == {
        "classifier.dense": STATES
    }
    assert known_ranges(tiny_lstm("text-classification", head_size=0)).inputs == {}


def test_states_stay_in_their_range_whatever_the_weights() -> None:
    model = tiny_lstm("text-classification")
    seen = []
    model.classifier.dense.register_forward_pre_hook(lambda _, x: seen.append(x[0].abs().max()))
    for weight in model.parameters():
        weight.data.mul_(1000)
    model(torch.randint(5, 30, (4, 9)))
    assert 0.9 < seen[0] <= STATES.magnitude


def test_half_holds_small_weights_and_names_large_ones() -> None:
    model = tiny_lstm("token-classification", characters=LETTERS)
    assert beyond_half(model) == {}
    layers, head = model.lstm.layers, model.classifier
    layers[1].state_weight.data[0, 0] = 5e4
    head.dense.weight.data[0, 0] = 7e4
    assert list(beyond_half(model)) == ["classifier.dense", "lstm.layers.1", "classifier.output"]
    assert "reaches 7e+04" in beyond_half(model)["classifier.dense"]
    assert "may reach 2.5e+05" in beyond_half(model)["lstm.layers.1"]


def test_a_table_counts_by_what_reads_it() -> None:
    model = tiny_lstm("token-classification")
    model.lstm.embeddings.words.weight.data[7, 0] = 6e4
    model.lstm.layers[0].input_weight.data[0, 0, 0] = 2.0
    assert list(beyond_half(model)) == ["lstm.layers.0"]
