from pathlib import Path

import pytest

from bertslim.errors import DataError
from bertslim.train.readers.vectors import vectors_of


def written(place: Path, text: str) -> Path:
    file = place / "vectors.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_wanted_words_are_found(tmp_path: Path) -> None:
    """Of word2vec's text form, whose first line counts words and numbers."""
    file = written(tmp_path, "4 2\nfilm 1 2\nthe 3 4\nParis 5 6\n, 7 8\n")
    found = vectors_of(file, {"film", "paris", ",", "absent"})
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "film": [1, 2],
        "paris": [5, 6],
        ",": [7, 8],
    }


def test_capitals_are_found_in_small_letters(tmp_path: Path) -> None:
    """Unless the word stands there as it is written."""
    file = written(tmp_path, "paris 1 2\nrome 3 4\nRome 5 6\nUSA 7 8\n")
    found = vectors_of(file, {"Paris", "Rome", "rome", "usa", "Oslo"})
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "Paris": [1, 2],
        "Rome": [5, 6],
        "rome": [3, 4],
        "usa": [7, 8],
    }


def test_all_broken_lines_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, "film 1 2\nthe 3\na 4 five\nof\nan inf 1\n")
    with pytest.raises(DataError) as caught:
        vectors_of(file, {"film", "a", "an"})
    assert f"{file}:2, 3, 4, 5: not a word and 2 numbers" in str(caught.value)


def test_numbers_are_read_where_they_are_wanted(tmp_path: Path) -> None:
    """Those of other words are counted, no more; several words are no entry."""
    file = written(tmp_path, "a 4 five\nfilm 1 2\ntwo words 5 6\nFilms 7 8\n")
    found = vectors_of(file, {"film", "films", "two"})
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "film": [1, 2],
        "films": [7, 8],
    }


def test_a_file_without_any_of_the_words_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "film 1 2\n")
    with pytest.raises(DataError, match="has none of the 1 words"):
        vectors_of(file, {"book"})
