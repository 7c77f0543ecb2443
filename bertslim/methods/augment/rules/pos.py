"""`pos`: a word becomes another with the same part of speech (Tang et al. 2019, section 3.2)."""

from dataclasses import dataclass

import numpy as np

from bertslim.methods.augment.classes import word_classes
from bertslim.methods.augment.lexicon import Lexicon, lexicon_of
from bertslim.methods.augment.rule import Draw, Source
from bertslim.methods.augment.sentence import Sentence, split


@dataclass(frozen=True, slots=True)
class PartOfSpeech:
    """Draws a word of the same class, by how often it occurs."""

    lexicon: Lexicon

    @classmethod
    def made(cls, source: Source) -> "PartOfSpeech":
        """Take the tags that are given; without any, classes of words with alike neighbours."""
        sentences = [_lower(split(text)) for text in source.texts()]
        tags = source.tags or word_classes(sentences, source.seed)
        return cls(lexicon_of(sentences, tags))

    def drawer(self, sentence: Sentence) -> Draw:
        """Offer another word for each that the lexicon knows."""

        def draw(place: int, random: np.random.Generator) -> str | None:
            word = sentence.tokens[place]
            other = self.lexicon.another(word.lower(), random)
            return other and _written_like(word, other)

        return draw


def _lower(sentence: Sentence) -> tuple[str, ...]:
    return tuple(token.lower() for token in sentence.tokens)


def _written_like(word: str, other: str) -> str:
    """Let a word begin with a capital where the one before did."""
    return other.capitalize() if word[0].isupper() else other
