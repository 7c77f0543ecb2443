"""Texts are divided as BERT divides them, and put together as they were."""

import pytest

from bertslim.methods.augment.sentence import is_word, split

TEXTS = [
    "",
    "   ",
    "a film .",
    "  It's\ta  (very) fine film...  ",
    "no-one — éclair, 3.5 %\n",
    "नमस्ते दुनिया",
    "don't\u00a0stop",
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_lost(text: str) -> None:
    sentence = split(text)
    assert sentence.text == text
    assert [text[begin:end] for begin, end in sentence.spans] == list(sentence.tokens)


def test_marks_stand_alone_and_are_no_words() -> None:
    sentence = split("It's a 2-hour film...")
    assert sentence.tokens == ("It", "'", "s", "a", "2", "-", "hour", "film", ".", ".", ".")
    assert [sentence.tokens[place] for place in sentence.words] == [
        *("It", "s", "a", "2", "hour", "film")
    ]


def test_words_of_scripts_with_vowel_signs_are_whole() -> None:
    assert split("नमस्ते दुनिया").tokens == ("नमस्ते", "दुनिया")
    assert all(map(is_word, ("नमस्ते", "naïve", "42")))
    assert not any(map(is_word, ("[MASK]", ".", "", "a b", "\u200d")))


def test_other_words_stand_where_the_old_ones_did() -> None:
    sentence = split("A  fine film, too.").changed({1: "poor", 4: "[MASK]"})
    assert sentence.text == "A  poor film, [MASK]."
    assert sentence.words == (0, 1, 2, 4)
    part = sentence.window(1, 4)
    assert part.text == "poor film, [MASK]"
    assert part.words == (0, 1, 3)
