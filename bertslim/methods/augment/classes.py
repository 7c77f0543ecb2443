"""Parts of speech without a tagger: words that stand between the same neighbours are one class.

As in Schütze 1995 ("Distributional part-of-speech tagging"): a word is described by how often each
of the most frequent tokens stands just before and just after it, and the descriptions are
clustered. This needs no model, no word list and no particular language.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bertslim.methods.augment.sentence import is_word

CLASSES = 45
"""As many as the Penn treebank has tags,"""
WORDS_PER_CLASS = 8
"""but fewer where there are not that many words for each."""
CONTEXTS = 200
"""The most frequent tokens, which words are described by."""
MOST_WORDS = 50_000
"""That are told apart, the most frequent ones, for the sake of memory."""
LEAST = 3
"""How often a word must occur; what is rarer has too few neighbours to tell."""
ROUNDS = 30
EDGE = ""
"""Stands before and after a sentence."""

Matrix = npt.NDArray[np.float32]


def word_classes(sentences: Sequence[Sequence[str]], seed: int) -> dict[str, int]:
    """Give each frequent word a class.

    Args:
        sentences: Tokens, marks among them.
        seed: Determines where the clustering begins.
    """
    counts = Counter(token for tokens in sentences for token in tokens)
    tokens = sorted(counts, key=lambda token: (-counts[token], token))
    words = [token for token in tokens if counts[token] >= LEAST and is_word(token)][:MOST_WORDS]
    if not words:
        return {}
    described = _unit(np.sqrt(_neighbours(sentences, words, [EDGE, *tokens[:CONTEXTS]])))
    classes = max(1, min(CLASSES, len(words) // WORDS_PER_CLASS))
    found = _spherical_k_means(described, classes, np.random.default_rng(seed))
    return dict(zip(words, found.tolist(), strict=True))


def _neighbours(
    sentences: Sequence[Sequence[str]], words: Sequence[str], contexts: Sequence[str]
) -> Matrix:
    """Count how often each context stands before, and after, each word: (words, 2 contexts)."""
    row = _numbers(words)
    column = _numbers(contexts)
    counts = np.zeros((len(words), 2 * len(contexts)), np.float32)
    for tokens in sentences:
        around = [EDGE, *tokens, EDGE]
        for before, word, after in zip(around, tokens, around[2:], strict=False):
            if word in row and before in column:
                counts[row[word], column[before]] += 1
            if word in row and after in column:
                counts[row[word], len(contexts) + column[after]] += 1
    return counts


def _spherical_k_means(
    points: Matrix, classes: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Cluster unit vectors by their cosine (Dhillon and Modha 2001)."""
    centres = _far_apart(points, classes, random)  # (classes, channels)
    found = np.full(len(points), -1)
    for _ in range(ROUNDS):
        nearest = np.argmax(points @ centres.T, axis=1)
        if np.array_equal(nearest, found):
            break
        found = nearest
        members = np.eye(classes, dtype=np.float32)[found]  # (words, classes)
        centres = _unit(members.T @ points)
    return found


def _far_apart(points: Matrix, count: int, random: np.random.Generator) -> Matrix:
    """Draw points to begin with, each by its distance from those before (k-means++)."""
    chosen = [int(random.integers(len(points)))]
    nearest = points @ points[chosen[0]]  # (words,) the cosine with the nearest one chosen
    while len(chosen) < count:
        reach = np.cumsum(np.maximum(1 - nearest, 0) + np.finfo(np.float32).eps)
        chosen.append(int(np.searchsorted(reach, random.random() * reach[-1])))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    return points[chosen]


def _numbers(names: Sequence[str]) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names)}


def _unit(rows: Matrix) -> Matrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Matrix = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
