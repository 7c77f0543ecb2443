"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from bertslim.errors import DataError
from bertslim.train.metrics import METRICS, metrics_of
from bertslim.train.metrics.agreement import accuracy, binary_f1, macro_f1, mcc
from bertslim.train.metrics.correlation import pearson, spearman
from bertslim.train.metrics.language import masked_accuracy, perplexity
from bertslim.train.metrics.spans import (
    entities,
    span_counts,
    span_f1,
    span_precision,
    span_recall,
)
from bertslim.train.metrics.squad import (
    answer_exact,
    answer_f1,
    exact_match,
    normalised,
    overlap_f1,
    question_outcome,
)
from bertslim.train.task_schema import METRICS as DECIDING

TRUE = np.array([1, 1, 1, 0, 0, 1])
PREDICTED = np.array([1, 0, 1, 0, 1, 1])


def test_binary_classification_by_hand() -> None:
    # TP 3, FN 1, FP 1, TN 1
    assert accuracy(TRUE, PREDICTED) == pytest.approx(4 / 6)
    assert binary_f1(TRUE, PREDICTED) == pytest.approx(6 / 8)
    assert macro_f1(TRUE, PREDICTED) == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert mcc(TRUE, PREDICTED) == pytest.approx((3 * 1 - 1 * 1) / math.sqrt(4 * 4 * 2 * 2))


def test_classes_that_do_not_occur() -> None:
    ones = np.ones(4, dtype=int)
    assert (mcc(ones, ones), macro_f1(ones, ones), binary_f1(ones, ones)) == (0.0, 1.0, 1.0)
    assert binary_f1(ones * 0, ones * 0) == 0.0
    assert macro_f1(ones * 0, ones) == 0.0


def test_correlations_by_hand() -> None:
    true, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    # deviations (-1.5, -.5, .5, 1.5) and (-1.5, .5, -.5, 1.5): 4 / 5
    assert pearson(true, predicted) == pytest.approx(0.8)
    assert spearman(true, predicted**3) == pytest.approx(0.8)
    # equal values share their rank: (3.5, 1, 3.5, 2) against (4, 1, 3, 2)
    tied = np.array([3.0, 1.0, 3.0, 2.0])
    assert spearman(tied, np.array([4.0, 1.0, 3.0, 2.0])) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert pearson(true, np.full(4, 2.0)) == spearman(np.full(4, 2.0), true) == 0.0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("O I-PER B-PER I-PER", [("PER", 1, 2), ("PER", 2, 4)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 2)]),
        ("", []),
    ],
)
def test_entities_are_decoded_as_conlleval_does(
    tags: str, expected: list[tuple[str, int, int]]
) -> None:
    assert list(entities(tags.split())) == expected


def test_span_scores_by_hand() -> None:
    # The example of seqeval's README: 1 of 2 found, 2 predicted: precision, recall and F1 are 0.5.
    true = ["O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O"]
    said = ["O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O"]
    pairs = zip(true, said, strict=True)
    counts = np.array([span_counts(t.split(), s.split()) for t, s in pairs])
    assert counts.tolist() == [[0, 1, 1], [1, 1, 1]]
    assert span_f1(counts) == span_precision(counts) == span_recall(counts) == 0.5
    three = np.array([[1, 3, 2], [1, 2, 3]])  # 2 found, 5 predicted, 5 there
    assert (span_precision(three), span_recall(three), span_f1(three)) == (0.4, 0.4, 0.4)
    uneven = np.array([[1, 1, 4]])
    assert (span_precision(uneven), span_recall(uneven), span_f1(uneven)) == (1.0, 0.25, 0.4)
    assert span_f1(np.zeros((3, 3), dtype=int)) == 0.0


def test_answers_are_compared_without_articles_case_and_punctuation() -> None:
    assert normalised("  The U.S. Navy's  a-team ") == "us navys ateam"
    assert normalised("An apple, the tree") == "apple tree"
    assert answer_exact("the Navy.", "navy") == 1.0
    assert answer_exact("navy ship", "navy") == 0.0


def test_overlap_of_answers_by_hand() -> None:
    # 2 of 3 words said, 2 of 2 there: precision 2/3, recall 1, F1 0.8
    assert answer_f1("in the late 1990s", "late 1990s") == pytest.approx(0.8)
    assert answer_f1("x x y", "x z") == pytest.approx(2 * 1 / 5)
    assert answer_f1("x", "y") == 0.0
    assert (answer_f1("", ""), answer_f1("", "x"), answer_f1("x", "")) == (1.0, 0.0, 0.0)


def test_the_nearest_of_several_answers_counts() -> None:
    assert question_outcome("late 1990s", ["1990s", "the late 1990s"]) == (1.0, 1.0)
    assert question_outcome("late 1990s", ["1990s"]) == (0.0, pytest.approx(2 / 3))
    assert question_outcome("", []) == (1.0, 1.0)
    assert question_outcome("bob", []) == (0.0, 0.0)
    assert question_outcome("", ["the"]) == (1.0, 1.0)
    outcomes = np.array([(1.0, 1.0), (0.0, 0.5)])
    assert (exact_match(outcomes), overlap_f1(outcomes)) == (0.5, 0.75)


def test_masked_words_by_hand() -> None:
    # two chunks: 3 and 1 masked words, all at probability 1/8
    losses = np.array([[3 * math.log(8), 1, 3], [math.log(8), 1, 1]])
    assert perplexity(losses) == pytest.approx(8)
    assert masked_accuracy(losses) == 0.5
    assert math.isfinite(perplexity(np.array([[1e9, 0, 1]])))


def test_every_deciding_metric_exists_and_leads() -> None:
    assert METRICS.keys() == DECIDING.keys()
    for kind, names in DECIDING.items():
        for name in names:
            assert next(iter(metrics_of(kind, name, labels=2))) == name


def test_f1_is_for_two_labels() -> None:
    assert list(metrics_of("text-classification", "mcc", 2)) == [
        "mcc", "accuracy", "macro_f1", "f1",
    ]  # fmt: skip
    assert list(metrics_of("text-classification", "accuracy", 3)) == ["accuracy", "macro_f1", "mcc"]
    with pytest.raises(DataError, match="metric f1 is about two labels, and there are 3"):
        metrics_of("text-classification", "f1", 3)
