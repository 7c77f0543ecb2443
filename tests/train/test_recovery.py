from pathlib import Path

import pytest

from bertslim.errors import CheckpointError
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import remove_ffn_units
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, read_examples
from bertslim.train.recovery import load_teacher, recover
from bertslim.train.task import load_task
from tests.tiny import WORDS, save_tiny_bert, tiny_tokenizer
from tests.train.training import assert_equal, settings, weights

Pair = tuple[SlimBertPreTrainedModel, Examples]


@pytest.fixture
def taught(tiny: Path, sentence_task: Path) -> Pair:
    model = load_model(open_checkpoint(tiny))
    return model, read_examples(load_task(sentence_task), "train", model, tiny_tokenizer())


def test_a_pruned_model_comes_back_to_its_teacher(taught: Pair) -> None:
    teacher, examples = taught
    before = weights(teacher)
    student = remove_ffn_units(teacher, {0: range(60), 1: range(60)})
    run = settings(epochs=6, learning_rate=3e-3)
    same, report = recover(student, teacher, examples, examples, run)
    assert same is student
    assert report.losses[-1]["soft"] < 0.5 * report.losses[0]["soft"]
    assert len(report.metrics) == 6
    assert report.losses[0].keys() >= {"soft", "task"}
    assert_equal(weights(teacher), before)


def test_a_teacher_has_the_labels_in_the_students_order(taught: Pair, tmp_path: Path) -> None:
    _, examples = taught
    names = {"id2label": {0: "1", 1: "0"}, "label2id": {"1": 0, "0": 1}}
    turned = open_checkpoint(save_tiny_bert(tmp_path / "turned", seed=3, **names))
    assert examples.labels == ("0", "1")
    teacher = load_teacher(turned, examples, tiny_tokenizer())
    rows = load_model(turned).classifier.weight
    assert teacher.classifier.weight.equal(rows[[1, 0]])
    # labels without names are taken in order
    plain = open_checkpoint(save_tiny_bert(tmp_path / "plain", seed=3))
    teacher = load_teacher(plain, examples, tiny_tokenizer())
    assert teacher.classifier.weight.equal(load_model(plain).classifier.weight)


def test_all_that_keeps_a_teacher_from_teaching_is_named(taught: Pair, tmp_path: Path) -> None:
    _, examples = taught
    names = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    save_tiny_bert(tmp_path / "other", max_position_embeddings=8, **names)
    tokenizer = (tmp_path / "other" / "tokenizer.json").read_text()
    (tmp_path / "other" / "tokenizer.json").write_text(tokenizer.replace(WORDS[-1], "zebra"))
    with pytest.raises(CheckpointError, match="cannot teach here") as error:
        load_teacher(open_checkpoint(tmp_path / "other"), examples, tiny_tokenizer())
    assert str(error.value).splitlines()[1:] == [
        "  - its labels are no, yes, and not 0, 1",
        "  - it reads 8 tokens, and there are rows of 14",
        "  - its tokenizer has other words",
    ]
    tagger = open_checkpoint(save_tiny_bert(tmp_path / "tagger", "token-classification"))
    with pytest.raises(CheckpointError, match="its head is for token-classification, and the task"):
        load_teacher(tagger, examples, tiny_tokenizer())
