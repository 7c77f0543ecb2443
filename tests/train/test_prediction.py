"""Scoring: from outputs of any runtime to metrics, with models whose answers are known."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from datasets import Dataset
from transformers import BertForSequenceClassification

from bertslim.errors import BertslimError
from bertslim.train.answers import Answer, best_answer
from bertslim.train.encoding import encode, masking_of
from bertslim.train.metrics.agreement import accuracy
from bertslim.train.prediction import Score, confidence_interval, score
from bertslim.train.readers import read_split
from bertslim.train.task import Task, load_task
from tests.tiny import GOOD, WORDS, tiny_tokenizer
from tests.train.tasks import conll_task, lines_task, small_task, squad_task

Array = npt.NDArray[Any]
Outputs = Callable[[Mapping[str, Array]], Mapping[str, Array]]
TOKENIZER = tiny_tokenizer()


def scored(task: Task, labels: tuple[str, ...], run: Outputs, batch_size: int = 32) -> Score:
    """Score a fake model on the task's training data, which is all it has."""
    data = read_split(task, "train")
    encoded = encode(data, task, TOKENIZER, labels)
    masking = masking_of(task, TOKENIZER)
    return score(run, encoded, data, task, labels, batch_size=batch_size, masking=masking)


def sees_kind_words(batch: Mapping[str, Array]) -> dict[str, Array]:
    """Logits (batch, 2) of a model that knows what the sentences of `tests.tiny` are about."""
    kind = np.isin(batch["input_ids"], [WORDS.index(word) for word in GOOD]).any(axis=1)
    return {"logits": np.stack([~kind, kind], axis=1).astype(np.float32)}


def test_a_perfect_classifier(sentence_task: Path) -> None:
    task = load_task(sentence_task)
    assert scored(task, ("0", "1"), sees_kind_words) == Score(
        {"accuracy": 1.0, "macro_f1": 1.0, "f1": 1.0, "mcc": pytest.approx(1.0)},
        "accuracy",
        value=1.0,
        low=1.0,
        high=1.0,
        examples=96,
    )


def test_a_classifier_that_has_its_labels_crossed(sentence_task: Path) -> None:
    task = replace(load_task(sentence_task), metric="mcc")
    found = scored(task, ("1", "0"), sees_kind_words)
    assert found.metrics["accuracy"] == 0.0
    assert (found.metric, found.value) == ("mcc", pytest.approx(-1.0))


def test_batches_hold_model_inputs_only_and_change_nothing(sentence_task: Path) -> None:
    task = load_task(sentence_task)
    shapes: list[tuple[int, int]] = []

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        assert sorted(batch) == ["attention_mask", "input_ids"]
        shapes.append(batch["input_ids"].shape)
        longest = (batch["attention_mask"].sum(axis=1) % 3 == 0).astype(np.float32)
        return {"logits": np.stack([longest, 1 - longest], axis=1)}

    large = scored(task, ("0", "1"), run)
    assert [size for size, _ in shapes] == [32, 32, 32]
    assert scored(task, ("0", "1"), run, batch_size=5) == large
    assert large.low < large.value < large.high


def test_a_real_model(tiny: Path, sentence_task: Path) -> None:
    task = load_task(sentence_task)
    model = BertForSequenceClassification.from_pretrained(tiny).eval()

    @torch.no_grad()
    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        inputs = {name: torch.from_numpy(column) for name, column in batch.items()}
        return {"logits": model(**inputs).logits.numpy()}

    data = read_split(task, "train").select(range(8))
    encoded = encode(data, task, TOKENIZER, ("0", "1"))
    right = 0
    for row in data:
        logits = model(**TOKENIZER(row["text"], return_tensors="pt")).logits
        right += int(logits.argmax()) == int(row["label"])
    assert 0 < right < 8
    assert score(run, encoded, data, task, ("0", "1")).value == right / 8


def test_regression(tmp_path: Path) -> None:
    rows = [f'{{"text": "{"very " * n}good", "label": {n}}}' for n in range(1, 6)]
    document = 'kind = "text-regression"\nmax_length = 16\n[data]\ntrain = "a.jsonl"\n'
    task = small_task(tmp_path, document, {"a.jsonl": "\n".join(rows)})

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        return {"logits": batch["attention_mask"].sum(axis=1, keepdims=True).astype(float) ** 2}

    found = scored(task, (), run)
    expected = np.corrcoef(np.arange(1, 6), (np.arange(1, 6) + 3) ** 2)[0, 1]
    assert found.metrics == {"pearson": pytest.approx(expected), "spearman": pytest.approx(1)}
    assert found.examples == 5


def test_tags_of_words_that_were_cut_off_are_missed(tmp_path: Path) -> None:
    labels = ("B-LOC", "B-PER", "I-PER", "O")
    by_word = {"anna": "B-PER", "bob": "B-PER", "paris": "B-LOC", "film": "I-PER"}

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        tags = [[by_word.get(WORDS[number], "O") for number in row] for row in batch["input_ids"]]
        ids = np.array([[labels.index(tag) for tag in row] for row in tags])
        return {"logits": np.eye(len(labels))[ids]}

    task = conll_task(tmp_path)
    assert scored(task, labels, run).metrics == {
        "span_f1": 1.0, "span_precision": 1.0, "span_recall": 1.0,
    }  # fmt: skip
    content = "end\tO\n" * 6 + "bob\tB-PER\n\nbob\tB-PER\n"
    cut = replace(conll_task(tmp_path, content), max_length=8)
    assert scored(cut, labels, run).metrics == {
        "span_f1": pytest.approx(2 / 3), "span_precision": 1.0, "span_recall": 0.5,
    }  # fmt: skip


def test_tags_may_be_chosen_together(tmp_path: Path) -> None:
    """By what is given the logits of a whole batch, and told where its words are."""
    labels, by_word = ("B-LOC", "B-PER", "I-PER", "O"), {"anna": 1, "bob": 1, "paris": 0, "film": 2}

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        ids = [[by_word.get(WORDS[number], 3) for number in row] for row in batch["input_ids"]]
        return {"logits": -np.eye(len(labels))[np.array(ids)]}

    def least(logits: Array, words: Array) -> Array:
        return np.where(words, logits.argmin(axis=-1), -100)

    task = conll_task(tmp_path)
    data = read_split(task, "train")
    encoded = encode(data, task, TOKENIZER, labels)
    assert score(run, encoded, data, task, labels, decode=least).value == 1.0
    assert score(run, encoded, data, task, labels).value == 0.0


def pointing_at(word: str, null: float) -> Outputs:
    """A model sure that the answer is one word, and with this logit pair for "no answer"."""

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        logits = np.where(batch["input_ids"] == WORDS.index(word), 5.0, 0.0)
        logits[:, 0] = null
        return {"start_logits": logits, "end_logits": logits}

    return run


@pytest.mark.parametrize("length", [16, 32])
def test_answers_over_all_pieces_of_a_context(tmp_path: Path, length: int) -> None:
    # Three questions: "bob", none, "poor". The word in the context is never taken from a question.
    task = replace(squad_task(tmp_path), max_length=length)
    sure_of_bob = scored(task, (), pointing_at("bob", null=3.0))
    assert sure_of_bob.metrics["exact_match"] == pytest.approx(1 / 3)
    assert sure_of_bob.examples == 3
    never = scored(task, (), pointing_at("bob", null=6.0))  # q2 is right; q1 and q3 are given up
    assert never.metrics["exact_match"] == pytest.approx(1 / 3)
    patient = replace(task, null_threshold=4.0)  # 2 * 6 - 2 * 5 = 2 is not enough to give up
    assert scored(patient, (), pointing_at("bob", null=6.0)).metrics == {
        "f1": pytest.approx(1 / 3), "exact_match": pytest.approx(1 / 3),
    }  # fmt: skip


def test_without_unanswerable_questions_all_are_answered(tmp_path: Path) -> None:
    paragraph = {
        "context": "the plot was poor .",
        "qas": [{"id": "q", "question": "who", "answers": [{"text": "poor", "answer_start": 13}]}],
    }
    task = squad_task(tmp_path, {"data": [{"paragraphs": [paragraph]}]})
    assert scored(task, (), pointing_at("poor", null=9.0)).value == 1.0
    strict = replace(task, null_threshold=0.0)
    assert scored(strict, (), pointing_at("poor", null=9.0)).value == 0.0


def test_the_best_span_lies_in_the_context_is_ordered_and_short() -> None:
    outside, start, end = [-1, -1], np.zeros(6), np.zeros(6)
    offsets = np.array([outside, [0, 2], [3, 5], [6, 8], [9, 11], outside])
    start[[0, 3]], end[[0, 2, 5]] = (9, 4), (1, 3, 9)
    # 3..3 scores 4 + 0, and 1..2 only 0 + 3; 3..2 would run backwards, 5 is outside
    assert best_answer(start, end, offsets, max_length=6) == Answer(4.0, 6, 8, null_score=10.0)
    end[4] = 1
    assert best_answer(start, end, offsets, max_length=2) == Answer(5.0, 6, 11, 10.0)
    assert best_answer(start, end, offsets, max_length=1) == Answer(4.0, 6, 8, 10.0)


def test_pieces_are_combined() -> None:
    first, second = Answer(4.0, 6, 8, 3.0), Answer(2.0, 0, 2, -1.0)
    assert first.or_better(second) == second.or_better(first) == Answer(4.0, 6, 8, -1.0)
    assert Answer(1.0, 0, 3, 2.0).text("bob is", null_threshold=None) == "bob"
    assert Answer(1.0, 0, 3, 2.0).text("bob is", null_threshold=1.0) == "bob"
    assert Answer(1.0, 0, 3, 2.0).text("bob is", null_threshold=0.9) == ""


def test_guessing_blindly_is_as_perplexed_as_the_vocabulary_is_large(tmp_path: Path) -> None:
    seen: set[tuple[int, ...]] = set()

    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        lengths = batch["attention_mask"].sum(axis=1)
        rows = zip(batch["input_ids"], lengths, strict=True)
        seen.update(tuple(ids[:length].tolist()) for ids, length in rows)
        return {"logits": np.zeros((*batch["input_ids"].shape, len(WORDS)), dtype=np.float32)}

    task = lines_task(tmp_path, "a the it was is very good film\n" * 40)
    found = scored(task, (), run)
    assert found.metrics["perplexity"] == pytest.approx(len(WORDS))
    assert (found.metric, found.examples) == ("accuracy", 60)
    masked = set(seen)
    assert scored(task, (), run, batch_size=1) == found
    assert seen == masked  # the same words are masked whatever the batches


def test_outputs_that_are_no_numbers_are_refused(sentence_task: Path) -> None:
    def run(batch: Mapping[str, Array]) -> dict[str, Array]:
        return {"logits": np.full((len(batch["input_ids"]), 2), np.nan)}

    with pytest.raises(BertslimError, match="the model's logits are not all finite numbers"):
        scored(load_task(sentence_task), ("0", "1"), run)


def test_the_bootstrap_interval_is_about_the_binomial_one() -> None:
    true = np.ones(400, dtype=int)
    predicted = (np.arange(400) % 4 > 0).astype(int)
    low, high = confidence_interval(accuracy, (true, predicted))
    # 0.75 -+ 1.96 sqrt(0.75 0.25 / 400)
    assert (low, high) == (pytest.approx(0.7076, abs=0.005), pytest.approx(0.7924, abs=0.005))
    assert confidence_interval(accuracy, (true, predicted)) == (low, high)
    assert confidence_interval(accuracy, (true, predicted), seed=1) != (low, high)


def test_a_part_of_the_rows_can_be_scored(sentence_task: Path) -> None:
    task = load_task(sentence_task)
    data = read_split(task, "train")
    encoded: Dataset = encode(data, task, TOKENIZER, ("0", "1")).select(range(7, 17))
    assert score(sees_kind_words, encoded, data, task, ("0", "1")).examples == 10
