"""What can be no evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertslim.errors import DataError
from bertslim.methods.prune_heads.evidence import evidence_from
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import read_examples
from tests.methods.prune_heads.worlds import masked_words, sentences
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import conll_task


def test_examples_of_one_class_are_none(
    model: SlimBertPreTrainedModel, sentence_task: Path
) -> None:
    examples = sentences(model, sentence_task)
    assert evidence_from(examples, "token", 8).data is examples.encoded
    ones = examples.encoded.filter(lambda row: row["labels"] == 1)
    with pytest.raises(DataError, match=r"all \d+ training examples .* labelled '1'"):
        evidence_from(replace(examples, encoded=ones), "example", 8)


def test_no_examples_are_none(model: SlimBertPreTrainedModel, sentence_task: Path) -> None:
    examples = sentences(model, sentence_task)
    with pytest.raises(DataError, match="no training examples"):
        evidence_from(replace(examples, encoded=examples.encoded.select([])), "example", 8)


def test_words_of_one_tag_are_none(tmp_path: Path) -> None:
    labels = {0: "B-PER", 1: "O"}
    save_tiny_bert(tmp_path / "m", "token-classification", id2label=labels)
    tagger = load_model(open_checkpoint(tmp_path / "m"))
    task = conll_task(tmp_path, "film\tO\nwas\tO\n\nbook\tO\n\n")
    examples = read_examples(task, "train", tagger, tiny_tokenizer())
    with pytest.raises(DataError, match=r"all 2 training examples .* labelled 'O'"):
        evidence_from(examples, "example", 8)


def test_masked_words_need_no_labels(tmp_path: Path) -> None:
    _, examples = masked_words(tmp_path)
    assert evidence_from(examples, "example", 8).masking is examples.masking
