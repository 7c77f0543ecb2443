"""Tables are read back as they were meant, by the readers of tasks and pools."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertslim.errors import DataError, SettingsError
from bertslim.train.readers import read_split, read_unlabelled
from bertslim.train.readers.tags import read_tags
from bertslim.train.readers.vectors import first_vectors
from bertslim.train.tables import WRITERS, write_table
from bertslim.train.task import Task
from tests.train.tasks import small_task

TEXTS = ["carriage\rreturn", 'say "no", éclair', "two\nlines", " spaces\t ", "日本"]


def pair_task(folder: Path, more: str = "") -> Task:
    document = (
        f'kind = "text-regression"\n[data]\ntrain = "a.csv"\n{more}\n'
        '[columns]\ntext = ["one", "two"]\n'
    )
    return small_task(folder, document, {"a.csv": "one,two,label\na,b,0.5\n"})


@pytest.mark.parametrize("extension", WRITERS)
def test_tasks_and_pools_read_it(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"rows{extension}"
    rows = [{"one": text, "two": "b", "label": 0.1} for text in TEXTS]
    write_table(path, iter(rows), {"one": str, "two": str, "label": float})
    task = pair_task(tmp_path)
    assert read_unlabelled(task, [path])["text"][:] == TEXTS
    data = read_split(replace(task, train=(path,)), "train")
    assert (data["text"][:], data["text_pair"][0], data["label"][0]) == (TEXTS, "b", 0.1)


def test_other_encodings(tmp_path: Path) -> None:
    task = pair_task(tmp_path, 'encoding = "latin-1"')
    types = {"one": str, "two": str}
    for extension in WRITERS:
        path = tmp_path / f"rows{extension}"
        write_table(path, iter([{"one": "é", "two": "b"}]), types, "latin-1")
        assert read_unlabelled(task, [path])["text"][:] == ["é"]
    rows = [{"one": "日", "two": "b"}]
    with pytest.raises(SettingsError, match="'日' cannot be written in latin-1"):
        write_table(tmp_path / "rows.csv", iter(rows), types, "latin-1")


def test_vectors(tmp_path: Path) -> None:
    glove, word2vec = tmp_path / "glove.txt", tmp_path / "w2v.txt"
    glove.write_text("the 0.5 -1\né 1e-1 2\nfilm 3 4\n")
    word2vec.write_text("3 2\nthe 0.5 -1 \né 1e-1 2 \nfilm 3 4 \n")
    for path in (glove, word2vec):
        found = first_vectors(path, 2)
        assert found.words == ("the", "é")
        assert found.matrix.tolist() == [[0.5, -1], [pytest.approx(0.1), 2]]
    glove.write_text(glove.read_text() + "two words 5 6\nend 7 8\n")
    assert first_vectors(glove, 9).words == ("the", "é", "film", "end")
    glove.write_text("good 1\nbad 2\n")
    assert first_vectors(glove, 9).words == ("good", "bad")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("the 1 2\nfilm 1\n", "bad:2: not a word and 2 numbers"),
        ("the 1 2\nfilm 1 x\n", "bad:2: not a word and 2 numbers"),
        ("the 1 nan\n", "bad:1: not a word and "),
        ("the\n", "bad:1: not a word and "),
        ("\n", "holds no vectors"),
    ],
)
def test_wrong_vectors_are_explained(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "bad").write_text(content)
    with pytest.raises(DataError, match=said):
        first_vectors(tmp_path / "bad", 9)


def test_tags(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text("Film\tNOUN\nfilm\tVERB\n\nnice ADJ\n")
    assert read_tags(path) == {"film": "NOUN", "nice": "ADJ"}
    path.write_text("film NOUN\na b c\nword\n")
    with pytest.raises(DataError, match="3 columns where a word and its tag") as caught:
        read_tags(path)
    assert "lexicon.tsv:3: 1 columns" in str(caught.value)
    path.write_text("")
    with pytest.raises(DataError, match="holds no words"):
        read_tags(path)
