"""The nearest words of a word that no single piece stands for (Jiao et al. 2020, Algorithm 1)."""

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bertslim.methods.augment.sentence import is_word
from bertslim.train.readers.vectors import Vectors

REMEMBERED = 2**16
"""Words whose neighbours are kept; texts use the same words again and again."""

Pieces = tuple[int, ...]
Neighbours = Callable[[str, Pieces], tuple[str, ...]]
"""A word and the ids of its pieces -> words like it, the nearest first; none if it is unknown."""


def by_embedding(table: Tensor, words: Mapping[int, str], count: int) -> Neighbours:
    """Look in the model's own embedding table, where a word is the mean of its pieces.

    Args:
        table: (vocabulary, hidden).
        words: Whole words by id.
        count: How many neighbours.
    """
    names = list(words.values())
    known = functional.normalize(table[torch.tensor(list(words))], dim=-1)  # (words, hidden)

    def near(word: str, pieces: Pieces) -> tuple[str, ...]:
        mean = table[list(pieces)].mean(0)  # (hidden,)
        return _nearest(known, mean, names, word, count)

    return functools.lru_cache(REMEMBERED)(near)


def by_vectors(vectors: Vectors, count: int) -> Neighbours:
    """Look in word vectors from elsewhere, such as GloVe, as the paper does."""
    at = [number for number, word in enumerate(vectors.words) if is_word(word)]
    names = [vectors.words[number] for number in at]
    known = functional.normalize(torch.from_numpy(vectors.matrix[at]), dim=-1)  # (words, channels)
    places = {word: number for number, word in reversed(list(enumerate(names)))}

    def near(word: str, _pieces: Pieces) -> tuple[str, ...]:
        place = places.get(word, places.get(word.lower()))
        if place is None:
            return ()
        return _nearest(known, known[place], names, names[place], count)

    return functools.lru_cache(REMEMBERED)(near)


def _nearest(
    known: Tensor, vector: Tensor, names: Sequence[str], word: str, count: int
) -> tuple[str, ...]:
    """Return the words with the highest cosine, the word itself not among them."""
    cosines = known @ vector  # (words,)
    order = cosines.topk(min(count + 1, len(names))).indices.tolist()
    return tuple([names[n] for n in order if names[n] != word][:count])
