from pathlib import Path

import pytest
from transformers import AutoTokenizer

from bertslim.errors import DataError
from bertslim.train.examples import load_tokenizer
from bertslim.train.vocabulary import word_tokenizer, words_of
from tests.tiny import tiny_tokenizer

TEXTS = ["A film, a film.", "a book [MASK]"]


def test_the_most_frequent_words_are_known(tmp_path: Path) -> None:
    word_tokenizer(TEXTS, 3, tiny_tokenizer()).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert words_of(tokenizer)[:4] == ["[PAD]", "[UNK]", "[SEP]", "[MASK]"]
    assert sorted(words_of(tokenizer)[4:]) == [",", "a", "film"]
    ids = tokenizer("A book, [MASK] film")["input_ids"]
    words = ["a", "[UNK]", ",", "[MASK]", "film", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(ids) == words


def test_texts_of_a_pair_are_told_apart_unasked(tmp_path: Path) -> None:
    word_tokenizer(TEXTS, 9, tiny_tokenizer()).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("a film", "a")["token_type_ids"] == [0, 0, 0, 1, 1]


def test_no_word_is_no_vocabulary() -> None:
    with pytest.raises(DataError, match="hold no word"):
        word_tokenizer([" ", ""], 3, tiny_tokenizer())


def test_words_that_are_tagged_keep_their_marks() -> None:
    """A word is one token, whatever it is written with, so that each has one tag."""
    words = ["U.S.", "it's", "東京", "."]
    tokenizer = word_tokenizer([" ".join(words)], 9, tiny_tokenizer(), whole=True)
    ids = tokenizer(words, is_split_into_words=True)["input_ids"]
    tokens = ["u.s.", "it's", "東京", ".", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
