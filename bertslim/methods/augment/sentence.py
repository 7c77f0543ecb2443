"""A text as words, marks and what lies between them: what is left alone stays as it was written."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

MARK, SPACE, WORD = "mark", "space", "word"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text, divided as BERT divides it: at white space, and around every punctuation mark."""

    tokens: tuple[str, ...]
    """Words and marks."""
    gaps: tuple[str, ...]
    """White space, perhaps none: before each token, and after the last."""
    words: tuple[int, ...]
    """The places of the tokens that are words; marks are not changed."""

    @property
    def text(self) -> str:
        """The whole text."""
        pairs = zip(self.gaps, self.tokens, strict=False)
        return "".join(gap + token for gap, token in pairs) + self.gaps[-1]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Where each token begins and ends in the text."""
        found, begin = [], 0
        for gap, token in zip(self.gaps, self.tokens, strict=False):
            begin += len(gap)
            found.append((begin, begin + len(token)))
            begin += len(token)
        return tuple(found)

    def changed(self, new: Mapping[int, str]) -> "Sentence":
        """Return the sentence with other tokens at some places."""
        tokens = tuple(new.get(n, token) for n, token in enumerate(self.tokens))
        return Sentence(tokens, self.gaps, self.words)

    def window(self, first: int, last: int) -> "Sentence":
        """Return what stands from one token to another, both included."""
        gaps = ("", *self.gaps[first + 1 : last + 1], "")
        words = tuple(place - first for place in self.words if first <= place <= last)
        return Sentence(self.tokens[first : last + 1], gaps, words)


def split(text: str) -> Sentence:
    """Divide a text."""
    tokens, gaps = [], [""]
    for kind, piece in _pieces(text):
        if kind == SPACE:
            gaps[-1] = piece
        else:
            tokens.append(piece)
            gaps.append("")
    words = tuple(place for place, token in enumerate(tokens) if is_word(token))
    return Sentence(tuple(tokens), tuple(gaps), words)


def is_word(token: str) -> bool:
    """Whether this is one word, in any script, or a number."""
    return all(_kind(c) == WORD for c in token) and any(map(str.isalnum, token))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    for kind, run in groupby(text, _kind):
        if kind == MARK:
            yield from ((kind, mark) for mark in run)
        else:
            yield kind, "".join(run)


def _kind(character: str) -> str:
    if character.isspace():
        return SPACE
    return MARK if unicodedata.category(character)[0] in "PS" else WORD
