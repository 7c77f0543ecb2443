"""The recurrent models: what they compute, and that padding has no part in it."""

import pytest
import torch
from torch import nn

from bertslim.model.lstm.layers import Attention, BiLstm, Ends, Largest, four_ways
from tests.model.lstm.models import LETTERS, tiny_lstm
from tests.tiny import WORDS

POOLINGS = ("ends", "attention", "max")


def words(*shape: int) -> torch.Tensor:
    return torch.randint(5, len(WORDS), shape, generator=torch.Generator().manual_seed(1))


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_it_is_torchs_lstm_without_a_bias_of_the_candidate() -> None:
    torch.manual_seed(0)
    ours, theirs = BiLstm(7, 5), nn.LSTM(7, 5, bidirectional=True, batch_first=True)
    nn.init.normal_(ours.bias)
    with torch.no_grad():
        for direction, end in enumerate(("", "_reverse")):
            theirs.get_parameter(f"weight_ih_l0{end}").copy_(ours.input_weight[direction])
            theirs.get_parameter(f"weight_hh_l0{end}").copy_(ours.state_weight[direction])
            theirs.get_parameter(f"bias_ih_l0{end}").copy_(ours.biases()[direction])
            theirs.get_parameter(f"bias_hh_l0{end}").zero_()
    assert torch.equal(ours.biases()[:, 10:15], torch.zeros(2, 5))
    x = torch.randn(3, 6, 7)
    same(ours(x), theirs(x)[0])


def test_gates_begin_by_remembering() -> None:
    i, f, _, o = BiLstm(7, 5).biases().view(2, 4, 5).unbind(1)
    assert torch.equal(f, torch.ones(2, 5))
    assert not i.any()
    assert not o.any()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("characters", [0, LETTERS])
def test_padding_changes_no_text(pooling: str, pairs: bool, characters: int) -> None:
    """Though no lengths are given; products of other shapes round otherwise."""
    model = tiny_lstm(pooling=pooling, pairs=pairs, characters=characters)
    ids, types = words(2, 9), torch.tensor([[0] * 4 + [1] * 5] * 2)
    mask = torch.tensor([[1] * 9 + [0] * 3] * 2)
    padded, longer = torch.cat([ids, words(2, 3)], 1), torch.cat([types, types[:, 6:]], 1)
    with torch.no_grad():
        alone = model(ids, token_type_ids=types).logits
        same(alone, model(padded, mask, longer).logits)
        unmasked = model(padded, token_type_ids=longer).logits
    assert (alone - unmasked).abs().max() > 1e-3


def test_padding_changes_no_tag() -> None:
    model = tiny_lstm("token-classification", characters=LETTERS)
    ids = words(2, 9)
    padded = torch.cat([ids, words(2, 3)], 1)
    mask = torch.tensor([[1] * 9 + [0] * 3] * 2)
    with torch.no_grad():
        same(model(ids).logits, model(padded, mask).logits[:, :9])


def test_states_of_padding_stay_zero() -> None:
    """Exactly: what comes from the right begins as if there were nothing."""
    layer, x = BiLstm(7, 5), torch.randn(2, 6, 7)
    nn.init.normal_(layer.bias)
    x[0, 4:], x[1, :3] = 0, 0
    with torch.no_grad():
        left, right = layer(x).chunk(2, dim=-1)
    assert not right[0, 4:].any()
    assert not left[1, :3].any()
    assert right[1, :3].all()


def test_texts_of_a_pair_are_read_apart() -> None:
    model = tiny_lstm(pairs=True, num_hidden_layers=2)
    a, b = words(1, 4), words(1, 6).flip(1)
    types = torch.tensor([[0] * 4 + [1] * 6])
    with torch.no_grad():
        pair = model(torch.cat([a, b], 1), token_type_ids=types)
        states = [model.lstm(ids).last_hidden_state for ids in (a, b)]
        alone = [model.pooling(x, torch.ones(x.shape[:2])) for x in states]
    torch.testing.assert_close(pair.pooled, four_ways(*alone), rtol=0, atol=1e-6)


def test_a_pair_is_compared_in_four_ways() -> None:
    a, b = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 5.0]])
    assert four_ways(a, b).tolist() == [[1, -2, 3, 5, 3, -10, 2, 7]]


def test_a_missing_second_text_is_no_number_out_of_range() -> None:
    for pooling in POOLINGS:
        model = tiny_lstm(pairs=True, pooling=pooling)
        ids = words(2, 4)
        found = model(ids, token_type_ids=torch.zeros_like(ids)).logits
        assert found.isfinite().all()


def test_poolings() -> None:
    states = torch.tensor([[[0.1, 0.5], [0.2, 0.4], [0.3, 0.9], [0.7, 0.8]]])
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(Ends()(states, mask), torch.tensor([[0.3, 0.4]]))
    torch.testing.assert_close(Largest()(states, mask), torch.tensor([[0.3, 0.9]]))
    attention = Attention(2)
    nn.init.zeros_(attention.score.weight)  # all tokens weigh the same
    torch.testing.assert_close(attention(states, mask), torch.tensor([[0.25, 0.65]]))


def test_letters_are_a_function_of_the_word() -> None:
    """So that a graph can hold a table in place of the convolution."""
    embeddings = tiny_lstm(characters=LETTERS).lstm.embeddings
    table = torch.cat([embeddings.words.weight, embeddings.letters(embeddings.spellings)], 1)
    ids = words(2, 6)
    torch.testing.assert_close(embeddings(ids), table[ids], rtol=0, atol=1e-6)


def test_losses() -> None:
    ids, labels = words(3, 4), torch.tensor([0, 1, 1])
    texts, scores = tiny_lstm(), tiny_lstm("text-regression")
    found = texts(ids, labels=labels)
    assert found.loss == nn.functional.cross_entropy(found.logits, labels)
    found = scores(ids, labels=torch.tensor([0.5, 1.0, 2.0]))
    errors = found.logits.squeeze(1) - torch.tensor([0.5, 1.0, 2.0])
    torch.testing.assert_close(found.loss, errors.square().mean())
    tags = tiny_lstm("token-classification")
    marks = torch.tensor([[0, -100, 1, -100]] * 3)
    found = tags(ids, labels=marks)
    asked = found.logits[:, ::2].flatten(0, 1)
    wanted = nn.functional.cross_entropy(asked, marks[:, ::2].flatten())
    torch.testing.assert_close(found.loss, wanted)


@pytest.mark.parametrize("wrong", [{"pooling": "mean"}, {"characters": 9, "character_kernel": 2}])
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        tiny_lstm(**wrong)
