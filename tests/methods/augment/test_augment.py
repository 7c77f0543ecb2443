"""Copies of rows: how many words change, and what decides which."""

from collections.abc import Sequence

import numpy as np
import pytest

from bertslim.methods.augment.augment import Rules, augment, make_rules
from bertslim.methods.augment.rule import Draw, Source
from bertslim.methods.augment.sentence import Sentence
from bertslim.methods.augment.settings import Augment, MethodName, augment_settings

TEXT = " ".join(["word"] * 500)


class Writes:
    """A rule that offers one word everywhere, or nothing."""

    def __init__(self, word: str | None) -> None:
        self.word = word

    def drawer(self, _sentence: Sentence) -> Draw:
        return lambda _place, _random: self.word


class Ends:
    """A rule that leaves the first token alone."""

    def changed(self, sentence: Sentence, _random: np.random.Generator) -> Sentence:
        return sentence.window(0, 0)


def settings(method: MethodName, rates: Sequence[str] = (), copies: int = 6) -> Augment:
    return augment_settings(method, rates, copies, 15, "[MASK]")


THREE = Rules({"mask": Writes("M"), "pos": Writes("P"), "masked-lm": Writes("L")}, {})


def test_rates_are_shares_of_the_words() -> None:
    rates = ["mask=0.1", "pos=0.2", "masked-lm=0.4", "ngram=0"]
    copies = augment((TEXT,), 0, THREE, settings("tang", rates, copies=20), seed=0)
    words = " ".join(text for (text,) in copies.texts).split()
    shares = {kind: words.count(kind) / len(words) for kind in ("M", "P", "L", "word")}
    expected = {"M": 0.1, "P": 0.2, "L": 0.4, "word": 0.3}
    assert shares == pytest.approx(expected, abs=0.02)
    assert copies.rows == {"mask": 20, "pos": 20, "masked-lm": 20}


def test_a_rate_of_one_changes_all_and_marks_stay() -> None:
    rules = Rules({"masked-lm": Writes("L")}, {})
    copies = augment(("a film, too!",), 0, rules, settings("tinybert", ["masked-lm=1"]), seed=0)
    assert copies.texts == (("L L, L!",),)


def test_of_a_pair_the_other_text_is_always_the_original() -> None:
    """TinyBERT's own code pairs new second texts with the last new first one."""
    rules = Rules({"masked-lm": Writes("L")}, {})
    row = ("one two three four", "five six seven eight")
    copies = augment(row, 0, rules, settings("tinybert", copies=12), seed=0)
    assert len(copies.texts) > 6
    changed = [tuple(a != b for a, b in zip(texts, row, strict=True)) for texts in copies.texts]
    assert set(changed) == {(True, False), (False, True)}


def test_tang_also_changes_both() -> None:
    rules = Rules({"mask": Writes("M")}, {})
    row = ("one two three four", "five six seven eight")
    wishes = settings("tang", ["mask=0.5", "pos=0", "ngram=0"], copies=3)
    copies = augment(row, 0, rules, wishes, seed=0)
    changed = [tuple(a != b for a, b in zip(texts, row, strict=True)) for texts in copies.texts]
    assert changed == [(True, False), (False, True), (True, True)]


def test_copies_are_new() -> None:
    rules = Rules({"mask": Writes("M")}, {})
    wishes = settings("tang", ["mask=0.5", "pos=0", "ngram=0"], copies=200)
    copies = augment(("one two",), 0, rules, wishes, seed=0)
    assert sorted(copies.texts) == [("M M",), ("M two",), ("one M",)]
    assert augment(("",), 0, rules, wishes, seed=0).texts == ()
    assert augment(("...",), 0, rules, wishes, seed=0).texts == ()


def test_a_rule_with_nothing_to_offer_had_no_part() -> None:
    nothing = Rules({"pos": Writes(None), "masked-lm": Writes("word")}, {})
    copies = augment((TEXT,), 0, nothing, settings("tang", ["masked-lm=0.4", "mask=0"]), seed=0)
    assert (copies.texts, copies.rows) == ((), {})


def test_sentences_follow_words() -> None:
    rules = Rules({"mask": Writes("M")}, {"ngram": Ends()})
    wishes = settings("tang", ["mask=1", "pos=0", "ngram=0.5"], copies=50)
    copies = augment(("one two three",), 0, rules, wishes, seed=0)
    assert sorted(copies.texts) == [("M",), ("M M M",)]
    assert copies.rows == {"mask": 2, "ngram": 1}


def test_row_seed_and_number_of_copies_decide() -> None:
    texts = ["the film was good", "a book is dull", "the end is very bright"] * 9
    tags = {"film": 1, "book": 1, "end": 1, "good": 2, "dull": 2, "bright": 2}
    wishes = settings("tang", copies=4)
    rules = make_rules(wishes, Source(lambda: texts, 0, "[MASK]", 3, 32, tags=tags))
    together = [augment((text,), n, rules, wishes, seed=0) for n, text in enumerate(texts)]
    alone = augment((texts[7],), 7, rules, wishes, seed=0)
    assert alone == together[7]
    assert alone != augment((texts[7],), 8, rules, wishes, seed=0)
    assert alone != augment((texts[7],), 7, rules, wishes, seed=1)
    # more copies add to those that there are
    more = augment((texts[7],), 7, rules, settings("tang", copies=9), seed=0)
    assert more.texts[: len(alone.texts)] == alone.texts
