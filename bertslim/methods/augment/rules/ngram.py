"""`ngram`: a sentence becomes a few of its words in a row (Tang et al. 2019, section 3.2)."""

from dataclasses import dataclass

import numpy as np

from bertslim.methods.augment.rule import Source
from bertslim.methods.augment.sentence import Sentence

LONGEST = 5
"""n is drawn from 1 to this."""


@dataclass(frozen=True, slots=True)
class NGram:
    """Keeps n words and the marks between them; every stretch is as likely as any other."""

    @classmethod
    def made(cls, _source: Source) -> "NGram":
        """Needs nothing."""
        return cls()

    def changed(self, sentence: Sentence, random: np.random.Generator) -> Sentence:
        """Return some words of the sentence, or all of one that has no more than n."""
        size = int(random.integers(1, LONGEST + 1))
        words = sentence.words
        if len(words) <= size:
            return sentence
        first = int(random.integers(len(words) - size + 1))
        return sentence.window(words[first], words[first + size - 1])
