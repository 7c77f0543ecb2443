"""What is compared, and how far apart it may be."""

import numpy as np
import pytest

from bertslim.model.configuration import SlimBertConfig
from bertslim.runtime.agreement import (
    TOLERANCE,
    Agreement,
    allowed_difference,
    compared,
    full_batch,
    largest_difference,
    padded_batch,
)

CONFIG = SlimBertConfig(vocab_size=64, pad_token_id=1, type_vocab_size=1)


def test_the_timed_batch_is_full_and_the_same_each_time() -> None:
    batch = full_batch(CONFIG, 2, 6, seed=3)
    assert batch.keys() == {"input_ids", "attention_mask"}
    assert batch["input_ids"].shape == (2, 6)
    assert batch["input_ids"].min() >= 32
    assert batch["attention_mask"].all()
    np.testing.assert_array_equal(batch["input_ids"], full_batch(CONFIG, 2, 6, 3)["input_ids"])


def test_the_compared_batch_is_padded() -> None:
    batch = padded_batch(CONFIG, 3, 8, seed=0)
    assert batch["attention_mask"].sum(1).tolist() == [8, 6, 4]
    assert batch["input_ids"][2, 4:].tolist() == [1] * 4
    assert padded_batch(CONFIG, 1, 8, seed=0)["attention_mask"].sum() == 4
    assert padded_batch(CONFIG, 1, 1, seed=0)["attention_mask"].sum() == 1


def test_padding_does_not_count_but_every_label_does() -> None:
    mask = {"attention_mask": np.array([[1, 1], [1, 0]])}
    zeros, ones = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    last = np.array([[0, 0], [0, 1]], np.float32)
    assert largest_difference({"start_logits": last}, {"start_logits": zeros}, mask) == 0
    # of the same shape by chance: two labels
    assert largest_difference({"logits": last}, {"logits": zeros}, mask) == 1
    states, reference = last[..., None], zeros[..., None]
    assert largest_difference({"logits": states}, {"logits": reference}, mask) == 0
    assert largest_difference({"logits": ones * -3}, {"logits": ones}, mask) == 4


def test_allowed_difference_grows_with_the_outputs() -> None:
    assert allowed_difference("fp32", {"logits": np.array([0.1, -0.2], np.float32)}) == 1e-3
    assert allowed_difference("fp32", {"logits": np.array([5, -20], np.float32)}) == 2e-2


@pytest.mark.parametrize("precision", TOLERANCE)
def test_no_precision_allows_outputs_that_are_all_zero(precision: str) -> None:
    mask = {"attention_mask": np.ones((1, 2), np.int64)}
    logits = np.array([[3, -4]], np.float32)
    assert compared(precision, {"logits": logits}, {"logits": logits}, mask).holds
    assert not compared(precision, {"logits": logits * 0}, {"logits": logits}, mask).holds


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["logits", "pooler_output"])
def test_what_is_not_a_finite_number_never_agrees(wrong: float, output: str) -> None:
    mask = {"attention_mask": np.ones((1, 2), np.int64)}
    fine = {name: np.zeros((1, 2), np.float32) for name in ("logits", "pooler_output")}
    broken = {**fine, output: np.array([[0, wrong]], np.float32)}
    for outputs, reference in ((broken, fine), (fine, broken), (broken, broken)):
        found = compared("fp32", outputs, reference, mask)
        assert found == Agreement(difference=None, allowed=1e-3)
        assert (found.holds, found.fault) == (False, "outputs are not finite numbers")


def test_agreement_up_to_what_is_allowed() -> None:
    close, far = Agreement(0.5, 0.5), Agreement(0.6, 0.5)
    assert (close.holds, close.fault) == (True, "")
    assert (far.holds, far.fault) == (False, "differs from PyTorch fp32 by 0.6, allowed are 0.5")
