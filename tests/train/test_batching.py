import numpy as np
import pytest

from bertslim.train.batching import (
    POOL_BATCHES,
    collate,
    items_per_row,
    length_buckets,
    micro_batches,
    rows_at,
)
from tests.train.training import sentences

LENGTHS = [int(n) for n in np.random.default_rng(0).integers(3, 60, size=501)]


def test_every_row_occurs_once_and_one_batch_is_short() -> None:
    batches = length_buckets(LENGTHS, 8, seed=0, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(501))
    assert sorted(len(batch) for batch in batches) == [5] + [8] * 62


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    first = length_buckets(LENGTHS, 8, seed=1, epoch=2)
    assert first == length_buckets(LENGTHS, 8, seed=1, epoch=2)
    assert first != length_buckets(LENGTHS, 8, seed=1, epoch=3)
    assert first != length_buckets(LENGTHS, 8, seed=2, epoch=2)


def test_lengths_in_a_batch_are_near_equal_and_batches_are_not_in_order() -> None:
    assert len(LENGTHS) < 8 * POOL_BATCHES
    batches = length_buckets(LENGTHS, 8, seed=0, epoch=0)
    padding = [max(LENGTHS[i] for i in b) * len(b) - sum(LENGTHS[i] for i in b) for b in batches]
    assert sum(padding) < 0.02 * sum(LENGTHS)
    longest = [LENGTHS[batch[-1]] for batch in batches]
    assert longest != sorted(longest)


def test_rows_of_one_length_meet_others_in_each_epoch() -> None:
    first, second = (length_buckets([7] * 32, 8, seed=0, epoch=epoch) for epoch in (0, 1))
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_collating_pads_every_column_with_its_own_filling() -> None:
    rows = [
        {"input_ids": [4, 5, 6], "token_type_ids": [0, 1, 1], "labels": [-100, 1, 0], "offsets": 1},
        {"input_ids": [7], "token_type_ids": [1], "labels": [1], "offsets": 2},
    ]
    batch = collate(rows, pad_token_id=9)
    assert {name: column.tolist() for name, column in batch.items()} == {
        "input_ids": [[4, 5, 6], [7, 9, 9]],
        "token_type_ids": [[0, 1, 1], [1, 0, 0]],
        "labels": [[-100, 1, 0], [1, -100, -100]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
    }
    assert {column.dtype for column in batch.values()} == {np.dtype(np.int64)}


def test_collating_classes_numbers_and_spans() -> None:
    classes = collate([{"input_ids": [1], "labels": 2}, {"input_ids": [1], "labels": 0}], 0)
    numbers = collate([{"input_ids": [1], "labels": 0.5}, {"input_ids": [1], "labels": 3.0}], 0)
    spans = collate([{"input_ids": [1, 2], "start_positions": 1, "end_positions": 1}], 0)
    assert (classes["labels"].tolist(), classes["labels"].dtype) == ([2, 0], np.int64)
    assert (numbers["labels"].tolist(), numbers["labels"].dtype) == ([0.5, 3.0], np.float32)
    assert (spans["start_positions"].tolist(), spans["end_positions"].tolist()) == ([1], [1])


def test_rows_are_read_in_the_order_asked_for() -> None:
    data = sentences(6)
    assert rows_at(data, [4, 1]) == [data[4], data[1]]


@pytest.mark.parametrize(("ranks", "accumulation"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 4)])
def test_shares_make_the_mean_of_the_whole_batch(ranks: int, accumulation: int) -> None:
    labels = np.array([[1, 0, -100], [-100, -100, -100], [1, 1, 1], [-100, 1, -100], [0, 0, -100]])
    values = np.random.default_rng(0).normal(size=labels.shape)
    batch = {"input_ids": np.ones_like(labels), "labels": labels, "values": values}
    mean, parts = 0.0, 0
    for rank in range(ranks):
        for part in micro_batches(batch, accumulation=accumulation, rank=rank, ranks=ranks):
            labelled = part.batch["labels"] != -100
            mean += part.share * float(part.batch["values"][labelled].mean()) / ranks
            parts += 1
    assert parts == ranks * accumulation
    assert mean == pytest.approx(values[labels != -100].mean(), abs=1e-12)


def test_a_process_without_rows_takes_part_at_share_zero() -> None:
    batch = {"input_ids": np.array([[4, 5]]), "labels": np.array([1])}
    (first,) = micro_batches(batch, rank=0, ranks=2)
    (second,) = micro_batches(batch, rank=1, ranks=2)
    assert (first.share, second.share) == (2.0, 0.0)
    assert second.batch["input_ids"].tolist() == [[4, 5]]


def test_a_batch_without_any_label_is_left_out_by_all() -> None:
    batch = {"input_ids": np.ones((2, 3), int), "labels": np.full((2, 3), -100)}
    assert list(micro_batches(batch, accumulation=2)) == []


def test_items_are_examples_unless_tokens_have_labels() -> None:
    ids = np.ones((2, 3), dtype=np.int64)
    assert items_per_row({"input_ids": ids}).tolist() == [1, 1]
    assert items_per_row({"input_ids": ids, "labels": np.array([0, 1])}).tolist() == [1, 1]
    labels = np.array([[1, -100, 2], [-100, -100, -100]])
    assert items_per_row({"input_ids": ids, "labels": labels}).tolist() == [2, 0]
