"""Copies of a row with other words: which, the row, the seed and the rules alone decide."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bertslim.methods.augment.rule import Draw, SentenceRule, Source, WordRule
from bertslim.methods.augment.rules import SENTENCE_RULES, WORD_RULES
from bertslim.methods.augment.sentence import Sentence, split
from bertslim.methods.augment.settings import Augment

Texts = tuple[str, ...]
"""One text, or the two of a pair."""


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What changes words, and what changes sentences, by name and in order."""

    words: Mapping[str, WordRule]
    sentences: Mapping[str, SentenceRule]


@dataclass(frozen=True, slots=True)
class Copies:
    """What became of a row."""

    texts: tuple[Texts, ...]
    """Different from each other and from the row."""
    rows: Mapping[str, int]
    """How many of them each rule had a part in."""


def make_rules(settings: Augment, source: Source) -> Rules:
    """Make the rules that have a rate.

    Raises:
        CheckpointError: If a model is needed that cannot serve.
    """
    return Rules(
        {name: made(source) for name, made in WORD_RULES.items() if settings.uses(name)},
        {name: made(source) for name, made in SENTENCE_RULES.items() if settings.uses(name)},
    )


def augment(row: Texts, number: int, rules: Rules, settings: Augment, seed: int) -> Copies:
    """Try so many copies of a row, and keep those that are new.

    Args:
        row: One text, or two.
        number: The row's own, wherever it stands: equal rows become different copies.
        rules: See `make_rules`.
        settings: Says how often, and how many.
        seed: Of all rows.
    """
    sentences = tuple(map(split, row))
    turned = {at for copy in range(settings.copies) for at in settings.turn(copy, len(row))}
    drawers = {at: _drawers(sentences[at], rules) for at in turned}
    found: dict[Texts, set[str]] = {}
    for copy in range(settings.copies):
        random = np.random.default_rng([seed, number, copy])
        used: set[str] = set()
        texts = list(row)
        for at in settings.turn(copy, len(row)):
            words = _other_words(sentences[at], drawers[at], settings.rates, random)
            changed = _other_shape(sentences[at].changed(words.new), rules, settings.rates, random)
            texts[at] = changed.sentence.text
            used |= words.rules | changed.rules
        found.setdefault(tuple(texts), used)
    found.pop(row, None)
    return Copies(tuple(found), Counter(name for used in found.values() for name in used))


@dataclass(frozen=True, slots=True)
class _Words:
    new: Mapping[int, str]
    rules: set[str]


@dataclass(frozen=True, slots=True)
class _Shape:
    sentence: Sentence
    rules: set[str]


def _drawers(sentence: Sentence, rules: Rules) -> Mapping[str, Draw]:
    return {name: rule.drawer(sentence) for name, rule in rules.words.items()}


def _other_words(
    sentence: Sentence,
    drawers: Mapping[str, Draw],
    rates: Mapping[str, float],
    random: np.random.Generator,
) -> _Words:
    """Draw X ~ U(0, 1) for each word; the first rule whose share of the interval it is in acts."""
    names = list(drawers)
    ends = np.cumsum([rates[name] for name in names])
    acting = np.searchsorted(ends, random.random(len(sentence.words)), side="right")  # (words,)
    new, used = {}, set()
    for place, rule in zip(sentence.words, acting.tolist(), strict=True):
        word = drawers[names[rule]](place, random) if rule < len(names) else None
        if word is not None and word != sentence.tokens[place]:
            new[place] = word
            used.add(names[rule])
    return _Words(new, used)


def _other_shape(
    sentence: Sentence, rules: Rules, rates: Mapping[str, float], random: np.random.Generator
) -> _Shape:
    """Let each rule for sentences act with its own probability."""
    used = set()
    for name, rule in rules.sentences.items():
        if random.random() < rates[name]:
            before = sentence
            sentence = rule.changed(before, random)
            used |= {name} if sentence != before else set()
    return _Shape(sentence, used)
