"""Rows of a task for one model: what the checkpoint decides, and what it must not decide."""

import json
from pathlib import Path

import pytest
import torch

from bertslim.errors import CheckpointError, DataError
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, load_tokenizer, prepare, read_examples, score_model
from bertslim.train.readers import read_split
from bertslim.train.task import Task
from tests.tiny import WORDS, save_tiny_bert, sentences, tiny_tokenizer
from tests.train.tasks import small_task, squad_task, tsv_task

CLASSES = ("negative", "positive")
PAIR = (
    'kind = "text-regression"\nmax_length = 16\n[data]\ntrain = "a.jsonl"\n'
    '[columns]\ntext = ["x", "y"]\n'
)


def opinions(folder: Path, settings: str = 'metric = "f1"\n') -> Task:
    """Sentences that are negative or positive, four in five of them negative."""
    kept = [row for n, row in enumerate(sentences(96)) if row[1] == 0 or n % 4 == 0]
    rows = "\n".join(f"{text}\t{CLASSES[label]}" for text, label in kept)
    document = (
        f'kind = "text-classification"\nmax_length = 32\n{settings}[data]\ntrain = "a.tsv"\n'
        'validation = "a.tsv"\n[columns]\ntext = "sentence"\n'
    )
    return small_task(folder, document, {"a.tsv": f"sentence\tlabel\n{rows}\n"})


def classifier(folder: Path, labels: tuple[str, ...] | None) -> SlimBertPreTrainedModel:
    """A model whose outputs have these names; names do not change what it is sure of."""
    model = load_model(open_checkpoint(save_tiny_bert(folder)))
    if labels is not None:
        order = torch.tensor([CLASSES.index(label) for label in labels])
        with torch.no_grad():
            model.classifier.weight.copy_(model.classifier.weight[order])
            model.classifier.bias.copy_(model.classifier.bias[order])
        model.config.id2label = dict(enumerate(labels))
    return model


def validation(task: Task, model: SlimBertPreTrainedModel) -> Examples:
    return read_examples(task, "validation", model, tiny_tokenizer())


def f1_of(label: str, task: Task, model: SlimBertPreTrainedModel) -> float:
    """F1 of one label, counted sentence by sentence."""
    found = there = both = 0
    for row in read_split(task, "validation"):
        inputs = tiny_tokenizer()(row["text"], return_tensors="pt")
        guess = model.config.id2label[int(model(**inputs).logits.argmax())]
        found, there = found + (guess == label), there + (row["label"] == label)
        both += guess == row["label"] == label
    return 2 * both / (found + there)


@pytest.mark.parametrize("names", [(), ("positive", "negative")], ids=["sorted", "given"])
def test_f1_is_about_the_label_that_the_task_has_second(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    settings = f'metric = "f1"\nlabels = {json.dumps(names)}\n' if names else 'metric = "f1"\n'
    task = opinions(tmp_path, settings)
    model = classifier(tmp_path / "m", CLASSES)
    crossed = classifier(tmp_path / "m", CLASSES[::-1])
    expected, other = ("negative", "positive") if names else ("positive", "negative")
    value = f1_of(expected, task, model)
    assert value != pytest.approx(f1_of(other, task, model), abs=0.01)
    score = score_model(model, validation(task, model))
    assert score.value == pytest.approx(value)
    assert score_model(crossed, validation(task, crossed)) == score


def test_outputs_keep_the_order_of_the_model(tmp_path: Path) -> None:
    examples = validation(opinions(tmp_path), classifier(tmp_path / "m", CLASSES[::-1]))
    assert (examples.labels, examples.task.labels) == (CLASSES[::-1], CLASSES)
    names = [examples.labels[number] for number in examples.encoded["labels"]]
    assert names == examples.data["label"][:]


def test_outputs_without_names_have_those_of_the_task(tmp_path: Path) -> None:
    model = classifier(tmp_path / "m", None)
    examples = validation(opinions(tmp_path), model)
    assert examples.labels == examples.task.labels == CLASSES
    three = opinions(tmp_path, 'labels = ["negative", "neutral", "positive"]\n')
    with pytest.raises(DataError, match="tells 2 classes apart, task small has 3"):
        validation(three, model)


def test_labels_that_the_model_lacks_are_refused(tmp_path: Path) -> None:
    model = classifier(tmp_path / "m", CLASSES)
    model.config.id2label = {0: "bad", 1: "good"}
    with pytest.raises(DataError, match="label 'negative' is not among the labels bad, good"):
        validation(opinions(tmp_path), model)
    declared = opinions(tmp_path, 'labels = ["negative", "positive"]\n')
    with pytest.raises(DataError, match="labels other than bad, good"):
        validation(declared, model)


@pytest.mark.parametrize("names", [["input_ids"], ["input_ids", "token_type_ids"]])
@pytest.mark.parametrize("types", [1, 2])
def test_the_model_decides_whether_second_texts_are_told_apart(
    tmp_path: Path, types: int, names: list[str]
) -> None:
    task = small_task(tmp_path, PAIR, {"a.jsonl": '{"x": "good", "y": "bad", "label": 1}\n'})
    directory = save_tiny_bert(tmp_path / "m", task.kind, type_vocab_size=types)
    model = load_model(open_checkpoint(directory))
    tokenizer = tiny_tokenizer()
    tokenizer.model_input_names = names
    examples = read_examples(task, "train", model, tokenizer)
    found = examples.encoded.to_dict().get("token_type_ids")
    assert found == ([[0, 0, 0, 1, 1]] if types == 2 else None)
    assert score_model(model, examples).examples == 1


def test_contexts_are_told_from_questions_by_any_tokenizer(tmp_path: Path) -> None:
    task = squad_task(tmp_path)
    model = load_model(open_checkpoint(save_tiny_bert(tmp_path / "m", task.kind)))
    examples = read_examples(task, "train", model, tiny_tokenizer())
    for row in examples.encoded:
        of_context = [begin >= 0 for begin, _ in row["offsets"]]
        assert row["token_type_ids"][:-1] == of_context[:-1]


def test_tokenizers_with_more_words_than_the_model_are_refused(tmp_path: Path) -> None:
    directory = save_tiny_bert(tmp_path / "m")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["[new]"])
    tokenizer.save_pretrained(directory)
    model = load_model(open_checkpoint(directory))
    task = tsv_task(tmp_path, "sentence\tlabel\na\t1\n")
    with pytest.raises(CheckpointError) as caught:
        prepare(read_split(task, "train"), task, model, load_tokenizer(directory))
    more = len(WORDS) + 1
    expected = f"the tokenizer of {directory} knows {more} words, the model {len(WORDS)}"
    assert str(caught.value) == expected
    assert caught.value.hint == "copy tokenizer.json from the model it was made from"


def test_tokenizers_without_words_are_none(tmp_path: Path) -> None:
    directory = save_tiny_bert(tmp_path / "m")
    (directory / "tokenizer.json").unlink()
    assert (directory / "tokenizer_config.json").exists()
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        load_tokenizer(directory)


def test_tokenizers_of_another_time_are_refused(tmp_path: Path) -> None:
    directory = save_tiny_bert(tmp_path / "m")
    content = json.loads((directory / "tokenizer.json").read_text())
    content["model"]["type"] = "TelepathyPiece"
    (directory / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_tokenizer(directory)


def test_tokenizers_that_tell_no_places_are_refused(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    with pytest.raises(CheckpointError, match=r"BertJapaneseTokenizer, is a slow one"):
        load_tokenizer(tmp_path)
