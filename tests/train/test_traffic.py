"""Batches as a server gets them: whatever comes, padded to the longest of the batch."""

from pathlib import Path

import numpy as np
import pytest

from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, load_tokenizer, read_examples
from bertslim.train.task import load_task
from bertslim.train.traffic import BATCHES, traffic
from tests.tiny import SPECIAL, save_tiny_bert, write_sentence_task
from tests.train.tasks import lines_task


@pytest.fixture(scope="module")
def examples(tiny: Path, sentence_task: Path) -> Examples:
    """48 sentences of 7 to 14 tokens."""
    model = load_model(open_checkpoint(tiny))
    return read_examples(load_task(sentence_task), "validation", model, load_tokenizer(tiny))


def rows_of(batches: list[dict[str, np.ndarray]]) -> list[tuple[int, ...]]:
    """The token ids of every row, without padding."""
    return [
        tuple(ids[mask == 1].tolist())
        for batch in batches
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def test_every_batch_is_full_and_as_long_as_its_longest_row(examples: Examples) -> None:
    batches = traffic(examples, 6, seed=0)
    assert len(batches) == BATCHES
    assert batches[0].keys() == {"input_ids", "attention_mask", "token_type_ids"}
    for batch in batches:
        lengths = batch["attention_mask"].sum(axis=1)
        assert batch["input_ids"].shape == (6, lengths.max())
        # padded with the tokenizer's own token, which is the first of the special ones
        assert (batch["input_ids"][batch["attention_mask"] == 0] == SPECIAL.index("[PAD]")).all()


def test_rows_come_once_each_in_an_order_that_the_seed_decides(examples: Examples) -> None:
    whole = sorted(tuple(ids) for ids in examples.encoded["input_ids"])
    first, again, other = (rows_of(traffic(examples, 6, seed=seed)) for seed in (0, 0, 1))
    assert sorted(first) == sorted(other) == whole
    assert first == again
    assert first != other


def test_rows_are_not_sorted_by_length(examples: Examples) -> None:
    spreads = [np.ptp(b["attention_mask"].sum(axis=1)) for b in traffic(examples, 6, seed=0)]
    assert min(spreads) > 0


def test_too_few_rows_come_again(tiny: Path, tmp_path: Path) -> None:
    task = load_task(write_sentence_task(tmp_path, train=4, validation=3))
    model = load_model(open_checkpoint(tiny))
    few = read_examples(task, "validation", model, load_tokenizer(tiny))
    rows = rows_of(traffic(few, 2, seed=0))
    assert len(rows) == 2 * BATCHES
    assert rows[:3] == rows[3:6]


def test_words_are_masked_where_they_are_to_be_guessed(tmp_path: Path) -> None:
    directory = save_tiny_bert(tmp_path / "mlm", "masked-lm")
    lines = "the film was good .\n" * 40
    task = lines_task(tmp_path, lines)
    model = load_model(open_checkpoint(directory))
    examples = read_examples(task, "train", model, load_tokenizer(directory))
    ids = np.concatenate([b["input_ids"].ravel() for b in traffic(examples, 4, seed=0)])
    assert SPECIAL.index("[MASK]") in ids
