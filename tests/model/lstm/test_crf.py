"""The chain over a sentence's tags, against all paths that there are."""

from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.model.lstm.crf import (
    Crf,
    Scores,
    best_tags,
    chain_loss,
    log_partition,
    path_score,
    viterbi,
    words_first,
)
from bertslim.model.opening import open_for_task, open_model
from bertslim.model.running import decoder_of
from bertslim.model.saving import save_model
from bertslim.store.checkpoint import open_checkpoint
from tests.model.lstm.models import save_tiny_lstm, tiny_lstm

LABELS = 3
LENGTHS = (4, 1, 2)
REAL = torch.arange(4) < torch.tensor(LENGTHS).unsqueeze(1)
PIECES = torch.tensor([[-100, 2, -100, 0, 1, -100], [-100, -100, 1, -100, -100, -100]])
"""Labels: of three words, and of one."""


@pytest.fixture
def scores() -> Scores:
    torch.manual_seed(0)
    return Scores(torch.randn(LABELS, LABELS), torch.randn(LABELS), torch.randn(LABELS))


@pytest.fixture
def emissions() -> Tensor:
    return torch.randn(len(LENGTHS), 4, LABELS, generator=torch.Generator().manual_seed(1))


def every_path(scores: Scores, e: Tensor) -> dict[tuple[int, ...], float]:
    """The score of each path through (words, labels) emissions, added up one by one."""
    found = {}
    for path in product(range(LABELS), repeat=len(e)):
        total = scores.start[path[0]] + scores.end[path[-1]]
        total += sum(e[at, tag] for at, tag in enumerate(path))
        total += sum(scores.transitions[pair] for pair in pairwise(path))
        found[path] = float(total)
    return found


def test_it_is_the_sum_over_all_paths(scores: Scores, emissions: Tensor) -> None:
    found = log_partition(scores, emissions, REAL)
    for n, value, e in zip(LENGTHS, found, emissions, strict=True):
        paths = torch.tensor(list(every_path(scores, e[:n]).values()))
        torch.testing.assert_close(value, paths.logsumexp(0))


def test_a_path_is_scored(scores: Scores, emissions: Tensor) -> None:
    tags = torch.tensor([[2, 0, 1, 1], [1, 0, 0, 0], [0, 2, 0, 0]])
    found = path_score(scores, emissions, tags, REAL)
    for n, value, e, path in zip(LENGTHS, found, emissions, tags.tolist(), strict=True):
        assert value.item() == pytest.approx(every_path(scores, e[:n])[tuple(path[:n])], abs=1e-5)


def test_the_best_path_is_found(scores: Scores, emissions: Tensor) -> None:
    found = viterbi(scores, emissions, REAL)
    for n, path, e in zip(LENGTHS, found.tolist(), emissions, strict=True):
        paths = every_path(scores, e[:n])
        assert tuple(path[:n]) == max(paths, key=paths.__getitem__)
    assert not found.equal(emissions.argmax(-1))


def test_the_chain_runs_over_what_lies_between_words(scores: Scores) -> None:
    """What pieces inside of words say, and padding, has no part in it."""
    logits = torch.randn(2, 6, LABELS)
    of_words = [logits[0, [1, 3, 4]], logits[1, [2]]]
    paths = [every_path(scores, e) for e in of_words]
    surprises = [
        torch.tensor(list(found.values())).logsumexp(0) - found[tags]
        for found, tags in zip(paths, ((2, 0, 1), (1,)), strict=True)
    ]
    torch.testing.assert_close(chain_loss(scores, logits, PIECES), sum(surprises) / 4)
    at = PIECES >= 0
    found = best_tags(scores, logits, at)
    best = [max(one, key=one.__getitem__) for one in paths]
    assert found[at].tolist() == [tag for path in best for tag in path]
    assert (found[~at] == -100).all()
    louder = torch.where(at.unsqueeze(2), logits, 9 * logits)
    assert chain_loss(scores, louder, PIECES) == chain_loss(scores, logits, PIECES)


def test_rows_without_a_word_take_no_part(scores: Scores) -> None:
    logits, nothing = torch.randn(3, 6, LABELS), torch.full((1, 6), -100)
    more = chain_loss(scores, logits, torch.cat([PIECES, nothing]))
    torch.testing.assert_close(more, chain_loss(scores, logits[:2], PIECES))
    assert (best_tags(scores, logits, torch.zeros(3, 6, dtype=torch.bool)) == -100).all()
    places, real = words_first(PIECES >= 0)
    assert places.tolist()[0] == [1, 3, 4]
    assert real.tolist() == [[True] * 3, [True, False, False]]


def test_a_new_chain_leaves_each_word_to_itself() -> None:
    logits, scores = torch.randn(2, 6, LABELS), Crf(LABELS)()
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), PIECES.flatten())
    torch.testing.assert_close(chain_loss(scores, logits, PIECES), each)
    at = PIECES >= 0
    assert best_tags(scores, logits, at)[at].equal(logits.argmax(-1)[at])


def test_gradients_are_expected_counts(scores: Scores, emissions: Tensor) -> None:
    """Of log Z by the start's scores: the probability that each tag comes first."""
    start = scores.start.clone().requires_grad_()
    log_partition(scores._replace(start=start), emissions[:1], REAL[:1]).sum().backward()
    paths = every_path(scores, emissions[0])
    weights = torch.tensor(list(paths.values())).softmax(0)
    wanted = [sum(w for w, p in zip(weights, paths, strict=True) if p[0] == t) for t in range(3)]
    torch.testing.assert_close(start.grad, torch.stack(wanted))


def test_labels_in_another_order_have_the_same_chain(tmp_path: Path) -> None:
    names = {0: "O", 1: "B-X", 2: "I-X"}
    save_tiny_lstm(tmp_path / "crf", "token-classification", crf=True, id2label=names)
    checkpoint = open_checkpoint(tmp_path / "crf")
    model = open_model(checkpoint)
    with torch.no_grad():
        for parameter in model.crf.parameters():
            torch.nn.init.normal_(parameter)
    save_model(model, tmp_path / "crf", tokenizer_from=None)
    turned = open_for_task(checkpoint, "token-classification", ("B-X", "I-X", "O"))
    ids, words = torch.arange(5, 17).view(2, 6), PIECES >= 0
    logits = model(ids).logits
    torch.testing.assert_close(turned(ids).logits, logits[..., [1, 2, 0]])
    moved = torch.where(words, (PIECES - 1) % 3, -100)
    torch.testing.assert_close(turned(ids, labels=moved).loss, model(ids, labels=PIECES).loss)
    tags = model.decode(logits, words)[words]
    assert turned.decode(logits[..., [1, 2, 0]], words)[words].equal((tags - 1) % 3)


def test_arrays_of_any_runtime_are_decoded() -> None:
    model = tiny_lstm("token-classification", crf=True, num_labels=LABELS)
    logits, words = torch.randn(2, 6, LABELS), PIECES >= 0
    decode = decoder_of(model)
    assert decode is not None
    torch.nn.init.normal_(model.crf.transitions)
    assert decode(logits.numpy(), words.numpy()).tolist() == model.decode(logits, words).tolist()
    assert decoder_of(tiny_lstm("token-classification")) is None
    plain = tiny_lstm("token-classification", num_labels=LABELS).decode(logits, words)
    assert plain[words].equal(logits.argmax(-1)[words])
    assert (plain[~words] == -100).all()
