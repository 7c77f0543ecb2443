"""A model is opened from the top down, and what was frozen stays so."""

from bertslim.model.slim import SlimModel
from bertslim.train.thawing import parts_from_the_top, thawing
from tests.model.lstm.models import tiny_lstm
from tests.train.training import classifier


def open_names(model: SlimModel) -> set[str]:
    return {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}


def test_every_weight_is_in_one_part() -> None:
    for model in (tiny_lstm(characters=9, pooling="attention"), classifier()):
        found = [id(p) for part in parts_from_the_top(model) for p in part]
        assert sorted(found) == sorted(id(p) for p in model.parameters())


def test_the_head_is_first_and_the_words_are_last() -> None:
    model = tiny_lstm()
    before, opened = thawing(model, steps=8), []
    for step in range(8):
        before(step)
        opened.append(open_names(model))
    head = {"classifier.dense", "classifier.output"}
    assert opened[0] == opened[1] == head
    assert opened[2] == opened[3] == head | {"lstm.layers.1"}
    assert opened[4] == opened[5] == opened[3] | {"lstm.layers.0"}
    assert opened[6] == opened[7] == opened[5] | {"lstm.embeddings.words"}


def test_all_is_open_in_the_last_step_however_few_they_are() -> None:
    """The tiny model has four parts: the head, two layers, the words."""
    model = tiny_lstm()
    before, opened = thawing(model, steps=3), []
    for step in range(3):
        before(step)
        opened.append(len(open_names(model)))
    assert opened[0] < opened[1] < opened[2]
    assert "lstm.embeddings.words" in open_names(model)


def test_a_resumed_run_opens_what_was_open() -> None:
    model = tiny_lstm()
    thawing(model, steps=8)(5)
    assert "lstm.layers.0" in open_names(model)
    assert "lstm.embeddings.words" not in open_names(model)


def test_frozen_words_stay_frozen() -> None:
    model = tiny_lstm()
    model.encoder.embeddings.words.weight.requires_grad_(False)
    thawing(model, steps=4)(3)
    assert "lstm.embeddings.words" not in open_names(model)
