"""Tang's rules: what they draw, how often, and from where."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from bertslim.methods.augment import classes as classes_of_words
from bertslim.methods.augment.classes import word_classes
from bertslim.methods.augment.lexicon import lexicon_of
from bertslim.methods.augment.rule import Source
from bertslim.methods.augment.rules import SENTENCE_RULES, WORD_RULES
from bertslim.methods.augment.sentence import split
from tests.tiny import BAD, GOOD

TAGS = {"good": "ADJ", "bad": "ADJ", "dull": "ADJ", "film": "NOUN", "never": "ADV"}
TEXTS = ["good film", "bad bad film", "a dull dull dull dull Dull film"]


def source(texts: Sequence[str] = (), tags: dict[str, str] | None = None) -> Source:
    return Source(lambda: texts, 0, "<m>", candidates=3, max_length=32, tags=tags)


def test_mask_writes_the_token_that_is_asked_for() -> None:
    draw = WORD_RULES["mask"](source()).drawer(split("a film"))
    assert draw(1, np.random.default_rng(0)) == "<m>"


def test_pos_draws_by_frequency_and_never_the_word_itself() -> None:
    sentence = split("bad film and good")
    draw = WORD_RULES["pos"](source(TEXTS, TAGS)).drawer(sentence)
    random = np.random.default_rng(0)
    drawn = Counter(draw(0, random) for _ in range(3000))
    # good occurs once, dull five times
    assert drawn.keys() == {"good", "dull"}
    assert drawn["dull"] / drawn["good"] == pytest.approx(5, rel=0.15)
    # the only noun, and a word without a tag
    assert draw(1, random) is None
    assert draw(2, random) is None


def test_every_number_of_a_class_is_another_word() -> None:
    class Numbers:
        """Counts up instead of drawing."""

        def __init__(self) -> None:
            self.next = -1

        def integers(self, _end: int) -> int:
            self.next += 1
            return self.next

    tokens = ["a", *2 * ["b"], *3 * ["c"]]
    lexicon = lexicon_of([tokens], dict.fromkeys("abc", "X"))
    for word, others in (("a", 5), ("b", 4), ("c", 3)):
        numbers = Numbers()
        drawn = [lexicon.another(word, numbers) for _ in range(others)]
        assert drawn == [token for token in tokens if token != word]


def test_pos_keeps_capitals() -> None:
    draw = WORD_RULES["pos"](source(["good bad"], TAGS)).drawer(split("Good film"))
    assert draw(0, np.random.default_rng(0)) == "Bad"


def test_words_with_alike_neighbours_are_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes_of_words, "CLASSES", 5)
    monkeypatch.setattr(classes_of_words, "WORDS_PER_CLASS", 3)
    random = np.random.default_rng(0)
    nouns, verbs = ("film", "book", "story", "plot"), ("was", "is", "seems", "looks")
    sentences = [
        ("the", str(random.choice(nouns)), str(random.choice(verbs)), "very", str(adjective), ".")
        for adjective in random.choice([*GOOD, *BAD], 400)
    ]
    classes = word_classes(sentences, seed=0)
    assert classes.keys() == {*nouns, *verbs, *GOOD, *BAD, "the", "very"}
    assert classes == word_classes(sentences, seed=0)
    words = (nouns, verbs, [*GOOD, *BAD], ["the"], ["very"])
    groups = [{classes[word] for word in own} for own in words]
    assert [len(group) for group in groups] == [1] * 5
    assert len(set(classes.values())) == 5


def test_rare_words_and_marks_have_no_class() -> None:
    assert word_classes([("rare", ".")] * 2 + [(".", "!")] * 9, seed=0) == {}
    assert word_classes([], seed=0) == {}


def test_ngrams_are_any_stretch_of_one_to_five_words() -> None:
    rule = SENTENCE_RULES["ngram"](source())
    sentence = split("a, the film : book it was .")
    random = np.random.default_rng(0)
    drawn = Counter(rule.changed(sentence, random).text for _ in range(5000))
    words = [sentence.tokens[place] for place in sentence.words]
    assert len(words) == 6
    sizes = Counter()
    for text, count in drawn.items():
        found = split(text)
        own = [found.tokens[place] for place in found.words]
        assert own in [words[n : n + len(own)] for n in range(6)]
        assert (text[0], text[-1]) == (own[0][0], own[-1][-1])  # no marks at the ends
        sizes[len(own)] += count
    # all stretches occur, the last ones too, and all lengths are as likely
    assert len(drawn) == 6 + 5 + 4 + 3 + 2
    assert all(abs(sizes[size] - 1000) < 150 for size in range(1, 6))


def test_a_short_text_stays_whole_where_n_is_as_large() -> None:
    rule = SENTENCE_RULES["ngram"](source())
    sentence = split("the end .")
    random = np.random.default_rng(0)
    drawn = {rule.changed(sentence, random).text for _ in range(200)}
    assert drawn == {"the", "end", "the end ."}
    assert rule.changed(split("..."), random).text == "..."
