"""Whose turn it is where several tasks learn, and what a batch of them is."""

from collections import Counter

import numpy as np
import pytest

from bertslim.train.batching import TURN, length_buckets, row_lengths
from bertslim.train.feeding import TaskFeed, Turns, shares
from tests.train.training import sentences


def feed(rows: int, batch_size: int = 4, seed: int = 7) -> TaskFeed:
    return TaskFeed(sentences(rows, seed=rows), batch_size, seed, 0)


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1.0, [90, 9, 1]), (0.5, [70, 22, 8]), (0.0, [34, 33, 33])],
)
def test_turns_are_shared_by_a_power_of_the_sizes(power: float, expected: list[int]) -> None:
    assert shares([90, 9, 1], power) == expected


def test_each_task_has_a_turn() -> None:
    assert shares([1000, 1], 1.0) == [1000, 1]
    assert shares([5000, 1, 1], 1.0) == [5000, 1, 1]


def test_one_task_alone_has_its_own_batches() -> None:
    alone = feed(30)
    lengths = row_lengths(alone.rows)
    for epoch in range(3):
        expected = length_buckets(lengths, 4, seed=7, epoch=epoch)
        assert Turns([alone], 0.5, 7).deal(epoch) == expected


def test_at_power_1_an_epoch_shows_each_row_once() -> None:
    turns = Turns([feed(30), feed(9)], 1.0, 7)
    rows = [row for batch in turns.deal(2) for row in batch]
    assert sorted(rows) == list(range(39))


def test_batches_are_of_one_task_and_epochs_go_on_where_they_were() -> None:
    """Of 20 and 2 batches, 17 and 5 (16.7 and 5.3) are dealt: the small task begins anew."""
    turns = Turns([feed(80), feed(8)], 0.5, 7)
    epochs = [turns.deal(epoch) for epoch in range(4)]
    for batches in epochs:
        large = [all(row < 80 for row in batch) for batch in batches]
        assert Counter(large) == {True: 17, False: 5}
        assert all(
            min(batch) >= 80 for batch, is_large in zip(batches, large, strict=True) if not is_large
        )
    of_large = [tuple(b) for batches in epochs for b in batches if b[0] < 80]
    own = [tuple(b) for epoch in range(4) for b in feed(80).deal(epoch)]
    assert of_large == own[: 4 * 17]
    of_small = [tuple(b) for batches in epochs for b in batches if b[0] >= 80]
    own = [tuple(row + 80 for row in b) for epoch in range(10) for b in feed(8).deal(epoch)]
    assert of_small == own[: 4 * 5]


def test_turns_are_told_by_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return Turns([feed(80), feed(8)], 0.5, seed).deal(epoch)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 1)


def test_a_batch_names_its_task() -> None:
    first, second = feed(12), feed(8)
    turns = Turns([first, second], 0.5, 7)
    batch = turns.batch([13, 12], step=0)
    expected = second.batch([1, 0], step=0)
    assert batch.keys() - expected.keys() == {f"{TURN}1"}
    assert all(np.array_equal(batch[name], column) for name, column in expected.items())
    assert batch[f"{TURN}1"].shape == (2,)
