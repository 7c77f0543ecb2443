"""Words by class, each as likely to be drawn as it is frequent."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class WordClass:
    """The words of one class, in the order of the alphabet."""

    words: tuple[str, ...]
    ends: npt.NDArray[np.int64]
    """Cumulative counts: word i has the numbers from ends[i - 1] to ends[i]."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """In which class a word is, and at which place of it."""

    places: Mapping[str, tuple[WordClass, int]]

    def another(self, word: str, random: np.random.Generator) -> str | None:
        """Draw another word of the class of this one; None if it has none, or stands alone."""
        if word not in self.places:
            return None
        group, place = self.places[word]
        begin = group.ends[place - 1] if place else 0
        own = group.ends[place] - begin
        others = int(group.ends[-1] - own)
        if not others:
            return None
        number = int(random.integers(others))
        number += int(own) if number >= begin else 0  # the word's own numbers are passed over
        return group.words[int(np.searchsorted(group.ends, number, side="right"))]


def lexicon_of(sentences: Iterable[Sequence[str]], tags: Mapping[str, Any]) -> Lexicon:
    """Group the words of some sentences by their tags; those without one are left out."""
    counts = Counter(token for tokens in sentences for token in tokens if token in tags)
    groups: dict[Any, list[str]] = defaultdict(list)
    for word in sorted(counts):
        groups[tags[word]].append(word)
    classes = [_word_class(words, counts) for words in groups.values()]
    return Lexicon({w: (group, n) for group in classes for n, w in enumerate(group.words)})


def _word_class(words: Sequence[str], counts: Mapping[str, int]) -> WordClass:
    return WordClass(tuple(words), np.cumsum([counts[word] for word in words]))
