"""Holding out: sizes, determinism, and nothing that leaks."""

import pytest
from datasets import Dataset

from bertslim.errors import DataError
from bertslim.train.splits import few_labels, hold_out


def labelled(labels: list[str]) -> Dataset:
    texts = [str(number) for number in range(len(labels))]
    return Dataset.from_dict({"id": range(len(labels)), "text": texts, "label": labels})


@pytest.mark.parametrize(
    ("rows", "held"),
    [(2, 1), (8, 2), (100, 25), (200, 32), (400, 40), (9_000, 900), (20_000, 1000)],
)
def test_sizes(rows: int, held: int) -> None:
    train, selection = hold_out(labelled(["a", "b"] * (rows // 2)), seed=0)
    assert (len(train), len(selection)) == (rows - held, held)


def test_the_parts_are_the_whole_and_the_seed_decides() -> None:
    data = labelled(["a", "b"] * 100)
    train, selection = hold_out(data, seed=1)
    assert sorted([*train["id"], *selection["id"]]) == list(range(200))
    assert hold_out(data, seed=1)[1]["id"][:] == selection["id"][:]
    assert hold_out(data, seed=2)[1]["id"][:] != selection["id"][:]


def test_labels_keep_their_proportions() -> None:
    data = labelled(["rare"] * 100 + ["common"] * 900)
    for seed in range(5):
        _, selection = hold_out(data, seed)
        assert abs(selection["label"][:].count("rare") - 10) <= 1


def test_contexts_stay_together() -> None:
    contexts = [f"context {number // 3}" for number in range(300)]
    data = Dataset.from_dict({"id": range(300), "question": contexts, "context": contexts})
    train, selection = hold_out(data, seed=0)
    assert not set(train["context"]) & set(selection["context"])
    assert (len(train), len(selection)) == (267, 33)


def test_plain_text_is_held_out_in_one_run() -> None:
    data = Dataset.from_dict({"id": range(400), "text": ["x"] * 400})
    train, selection = hold_out(data, seed=0)
    ids = selection["id"][:]
    assert ids == list(range(ids[0], ids[0] + 40))
    assert len(train) == 360


@pytest.mark.parametrize(
    "data",
    [
        Dataset.from_dict({"id": [0], "text": ["x"], "label": ["a"]}),
        Dataset.from_dict({"id": range(9), "question": ["q"] * 9, "context": ["one"] * 9}),
    ],
    ids=["one row", "one context"],
)
def test_too_little_to_divide(data: Dataset) -> None:
    with pytest.raises(DataError, match=f"{len(data)} training rows are too few"):
        hold_out(data, seed=0)


def test_more_labels_than_there_are_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    few, rest = few_labels(labelled(["rare"] * 3 + ["common"] * 97), 97, seed=1)
    assert (len(few), len(rest)) == (100, 0)
    assert "no class has more than 97 training texts" in capsys.readouterr().err


def test_few_labels() -> None:
    data = labelled(["rare"] * 3 + ["common"] * 97)
    few, rest = few_labels(data, 5, seed=1)
    assert (few["label"][:].count("rare"), few["label"][:].count("common")) == (3, 5)
    assert sorted([*few["id"], *rest["id"]]) == list(range(100))
    assert few_labels(data, 5, seed=1)[0]["id"][:] == few["id"][:]
    assert few_labels(data, 5, seed=2)[0]["id"][:] != few["id"][:]
