"""The language of recurrent students, and the vectors that their words begin with."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bertslim.errors import SettingsError
from bertslim.methods.distill.build import Reading, build, check_width, principal_channels
from bertslim.methods.distill.plan import plan
from bertslim.methods.distill.recurrent import (
    PRESETS,
    RecurrentShape,
    Sizes,
    parse_recurrent,
    recurrent_faults,
    refuse_other_tasks,
)
from bertslim.methods.distill.settings import distill_settings, requested
from bertslim.methods.distill.terms import Representation, pseudo_error
from bertslim.methods.distill.vectors import (
    in_text,
    piece_means,
    plain,
    principal_table,
    table_of,
)
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.crf import Scores, chain_loss
from bertslim.model.shapes import parameter_counts
from bertslim.train.records.layout import Kept

VOCABULARY = ["[PAD]", "[UNK]", "film", "##s", "a", ""]
TAGGER = "SlimLstmForTokenClassification"
READING = Reading(VOCABULARY, padding=0, pairs=False, tokenizer="PreTrainedTokenizerFast")


def shape(text: str, embeddings: str = "random") -> RecurrentShape:
    assert recurrent_faults(text) == []
    return parse_recurrent(text, embeddings)


def test_sizes_are_the_papers_unless_named() -> None:
    assert shape("bilstm").sizes == PRESETS["bilstm"]
    found = shape("cnn-lstm,hidden=20,filters=0")
    sizes = {"hidden": 20, "layers": 2, "embedding": 100, "filters": 0, "head": 0, "words": 0}
    assert found.sizes == Sizes(**sizes, crf=0)
    assert found.named == ("filters", "hidden")
    assert shape("bilstm", "glove.txt").table == "file"


def test_tangs_student_is_under_a_million() -> None:
    model = build(shape("bilstm"), "text-classification", ("0", "1"), READING, None, seed=0)
    counts = parameter_counts(model)
    assert counts.encoder + counts.head == 601_502


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("bilstm,heads=2", "heads is none of hidden, layers, embedding"),
        ("bilstm,hidden=0", "hidden=0: not a number of 1 or more"),
        ("bilstm,words=few", "words=few: not a number of 0 or more"),
        ("bilstm,hidden=1,hidden=2", "hidden is given twice"),
        ("bilstm,crf=2", "crf=2: 1 is a CRF, 0 is none"),
        ("bilstm,", "nothing is none of"),
    ],
)
def test_wrong_words_are_explained(text: str, fault: str) -> None:
    (found,) = recurrent_faults(text)
    assert found.startswith(f"--student {text}: ")
    assert fault in found


@pytest.mark.parametrize(
    ("student", "kind", "hint"),
    [
        ("cnn-lstm", "text-classification", "bilstm or attentive-lstm"),
        ("attentive-lstm", "token-classification", "bilstm or cnn-lstm"),
        ("bilstm", "question-answering", "classify texts and tokens"),
        ("bilstm,crf=1", "text-classification", "leave crf= out"),
    ],
)
def test_a_student_for_other_tasks_is_refused(student: str, kind: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_other_tasks(shape(student), kind)
    assert hint in caught.value.hint


def test_layers_are_not_compared_with_a_student_that_has_none() -> None:
    student, teacher = SlimLstmConfig(), SlimBertConfig()
    wishes = distill_settings("pkd", 2.0, None, [], "skip", None)
    with pytest.raises(SettingsError, match="patient would compare layers"):
        plan(wishes, student, teacher)
    logits = distill_settings("logits", 2.0, 1.0, ["mse=2", "soft=0"], "skip", None)
    assert plan(logits, student, teacher).weights == {"mse": 2.0}
    nothing = distill_settings("logits", 2.0, 1.0, ["soft=0"], "skip", None)
    with pytest.raises(SettingsError, match="nothing to learn"):
        plan(nothing, student, teacher)


def test_a_text_is_compared_with_the_teachers_view_of_it() -> None:
    student, teacher = SlimLstmConfig(hidden_size=2), SlimBertConfig(hidden_size=3)
    weights = ["representation=1", "soft=0"]
    student.architectures = ["SlimLstmForSequenceClassification"]
    named, middle = (
        plan(distill_settings("logits", 2.0, 1.0, weights, match, None), student, teacher)
        for match in ("9", "skip")
    )
    assert (named.first_states, middle.first_states) == ((9,), (6,))
    assert named.kept == Kept(logits=False, states=(9,))
    assert named.asked == {"output_first_states": True}
    assert not named.teaches_answers
    term = Representation(9, torch.zeros(3, 4))
    pooled, states = torch.randn(2, 4), {9: torch.ones(2, 1, 3)}
    outputs = SimpleNamespace(pooled=pooled), SimpleNamespace(hidden_states=states)
    # a map that makes 0 of all is 1 away in each of three channels
    assert term(*outputs, {}).item() == 3
    with pytest.raises(SettingsError, match="layer 13 of a teacher that has 1 to 12"):
        plan(distill_settings("logits", 2.0, 1.0, weights, "13", None), student, teacher)
    student.architectures = ["SlimLstmForTokenClassification"]
    with pytest.raises(SettingsError, match="this student has no texts"):
        plan(distill_settings("logits", 2.0, 1.0, weights, "9", None), student, teacher)
    with pytest.raises(SettingsError, match="has hidden states"):
        plan(distill_settings("logits", 2.0, 1.0, weights, "9", None), teacher, teacher)


def test_a_crf_takes_the_teachers_answers_where_it_has_no_labels() -> None:
    student, teacher = SlimLstmConfig(crf=True, architectures=[TAGGER]), SlimBertConfig()

    def weights(alpha: float, *given: str) -> dict[str, float]:
        wishes = distill_settings("logits", 1.0, alpha, given, "skip", None)
        return dict(plan(wishes, student, teacher).weights)

    assert weights(0.5) == {"soft": 0.5, "task": 0.5}
    assert weights(1.0) == {"soft": 1.0, "pseudo": 1.0}
    assert weights(1.0, "pseudo=3", "soft=0") == {"pseudo": 3.0}
    with pytest.raises(SettingsError, match="the student's CRF would learn from nothing"):
        weights(1.0, "pseudo=0")
    student.crf = False
    assert weights(1.0) == {"soft": 1.0}
    assert weights(1.0, "pseudo=3") == {"soft": 1.0, "pseudo": 3.0}
    score = SlimBertConfig(problem_type="regression", num_labels=1)
    score.architectures = ["SlimBertForSequenceClassification"]
    wishes = distill_settings("logits", 1.0, 1.0, ["pseudo=1"], "skip", None)
    with pytest.raises(SettingsError, match="a score is none"):
        plan(wishes, score, teacher)


def test_the_likeliest_answers_are_learnt_as_labels() -> None:
    """By each word, or by the chain; a certain teacher's loss is that of its own labels."""
    labels = torch.tensor([[-100, 2, -100, 0, 1]])
    taught = torch.where(labels < 0, 1, labels)
    teacher = SimpleNamespace(logits=torch.nn.functional.one_hot(taught, 3).float())
    logits, batch = torch.randn(1, 5, 3), {"labels": torch.where(labels < 0, labels, 0)}
    plain = pseudo_error(SimpleNamespace(logits=logits), teacher, batch)
    torch.testing.assert_close(
        plain, torch.nn.functional.cross_entropy(logits[0], labels[0], ignore_index=-100)
    )
    chain = Scores(torch.randn(3, 3), torch.randn(3), torch.randn(3))
    chained = pseudo_error(SimpleNamespace(logits=logits, chain=chain), teacher, batch)
    torch.testing.assert_close(chained, chain_loss(chain, logits, labels))


def test_a_request_names_a_crf_only_where_there_is_one() -> None:
    """So that what was asked for before there were any is the same request still."""

    def named(student: str | None) -> dict[str, Any]:
        return requested(distill_settings("logits", 1.0, None, [], "skip", student))

    assert "crf" not in named("cnn-lstm")["student"]["sizes"]
    assert named("cnn-lstm,crf=1")["student"]["sizes"]["crf"] == 1
    assert named(None)["student"] is None


def test_a_student_is_what_was_asked_for() -> None:
    wanted = shape("cnn-lstm,hidden=3,layers=1,embedding=4,filters=2,head=5")
    table = torch.arange(24.0).view(6, 4)
    model = build(wanted, "token-classification", ("O", "B-X"), READING, table, seed=0)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.head_size) == (3, 1, 5)
    assert config.id2label == {0: "O", 1: "B-X"}
    assert torch.equal(model.encoder.embeddings.words.weight, table)
    letters = sorted(set("".join(VOCABULARY)))
    assert config.characters == len(letters) + 1
    spelt = model.encoder.embeddings.spellings[3].tolist()
    assert spelt == [letters.index(c) + 1 for c in "##s"] + [0] * 9


def test_the_same_seed_makes_the_same_student() -> None:
    first, again, other = (
        build(shape("bilstm"), "text-regression", (), READING, None, seed=seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.output.weight"], other["classifier.output.weight"])


def test_fewer_channels_keep_the_distances_that_there_are() -> None:
    """A table of rank 2 loses nothing in 2 channels; only its size is made the usual one."""
    table = torch.randn(9, 2) @ torch.randn(2, 5)
    small = principal_table(table, 2, size=0.5)
    torch.testing.assert_close(small.square().mean().sqrt(), torch.tensor(0.5))
    old, new = torch.cdist(table, table), torch.cdist(small, small)
    torch.testing.assert_close(new / new.max(), old / old.max(), rtol=0, atol=1e-3)


def test_a_word_begins_as_the_mean_of_its_pieces() -> None:
    table = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    found = piece_means([[0, 1], [2], []], table)
    assert found.tolist() == [[2.0, 1.0], [5.0, 5.0], [0.0, 0.0]]


def test_marks_of_pieces_are_no_part_of_a_word() -> None:
    assert [plain(w) for w in ("##ing", "Ġfilm", "▁a", "film", "##")] == [
        "ing",
        "film",
        "a",
        "film",
        "##",
    ]


def test_words_without_a_vector_are_drawn() -> None:
    vectors = {"film": torch.ones(3), "s": torch.zeros(3)}
    table = table_of(vectors, VOCABULARY, seed=0)
    assert torch.equal(table[2], torch.ones(3))
    assert torch.equal(table[3], torch.zeros(3))
    assert table[4].all()
    assert torch.equal(table, table_of(vectors, VOCABULARY, seed=0))


def test_widths_that_cannot_be() -> None:
    with pytest.raises(SettingsError, match="the teacher's have 200 channels"):
        principal_channels(shape("bilstm,embedding=300"), 200)
    with pytest.raises(SettingsError, match="--embeddings have 50 channels"):
        check_width(shape("bilstm,embedding=300"), 50)
    check_width(shape("bilstm"), 50)


def test_words_take_all_that_the_teacher_has_if_it_is_little() -> None:
    assert principal_channels(shape("bilstm"), 200) == 200
    assert principal_channels(shape("bilstm"), 384) == 300
    assert principal_channels(shape("bilstm,embedding=100"), 200) == 100


def test_another_tokenizer_gets_words_as_texts_have_them() -> None:
    assert [*map(in_text, ["##ing", "Ġthe", "▁film", "##"])] == [" ing", " the", " film", " ##"]
