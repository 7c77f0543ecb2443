"""Word vectors in a text file, as GloVe, word2vec and fastText write them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertslim.console import note
from bertslim.errors import DataError
from bertslim.train.readers.cells import filled_lines
from bertslim.train.readers.faults import FaultLog

Vector = npt.NDArray[np.float32]
Wanted = Callable[[str], bool]
"""Whether a word's numbers are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Words and their vectors, as GloVe has them."""

    words: tuple[str, ...]
    matrix: Vector
    """(words, channels)."""


def first_vectors(path: Path, most: int) -> Vectors:
    """Read the first words of a file and their vectors.

    Raises:
        DataError: With file and line of what is wrong.
    """
    faults = FaultLog()
    read = list(islice(_entries(path, lambda _: True, faults), most))
    if not read and not faults.count:
        faults.add(path, None, "holds no vectors")
    faults.raise_if_any(f"{path} is not a file of word vectors")
    return Vectors(tuple(word for word, _ in read), np.stack([vector for _, vector in read]))


def vectors_of(path: Path, words: Collection[str]) -> dict[str, Vector]:
    """Read the vectors of some words; one that stands there with other capitals is found as well.

    GloVe's smaller files hold small letters alone, and a vocabulary may have capitals.

    Raises:
        DataError: With the lines that are broken, or if not one of the words is there.
    """
    faults, found = FaultLog(), dict[str, Vector]()
    known = {*words, *(word.lower() for word in words)}
    for word, vector in _entries(path, lambda w: w in known or w.lower() in known, faults):
        if word in known:
            found[word] = vector
        else:
            found.setdefault(word.lower(), vector)
    faults.raise_if_any(f"{path} is not a file of word vectors")
    if not found:
        raise DataError(
            f"{path} has none of the {len(words):,} words of the vocabulary",
            "on each line stand a word and its numbers, with spaces between",
        )
    # a word as it is written comes before the same in small letters
    vectors = {w: found[name] for w in words for name in (w.lower(), w) if name in found}
    note(f"{path.name} has vectors of {len(vectors):,} of {len(words):,} words")
    return vectors


def _entries(path: Path, wanted: Wanted, faults: FaultLog) -> Iterator[tuple[str, Vector]]:
    """Yield words and vectors, all as wide as the first.

    Of a word that is not wanted the numbers are counted alone: a file has many times the words of a
    vocabulary. A first line of two numbers, as word2vec has it, is passed over; so are entries of
    several words, which the largest GloVe file holds.
    """
    size = 0
    for number, line in filled_lines(path, faults):
        mark = "\t" if "\t" in line else " "
        width = line.count(mark)
        if number == 1 and width == 1 and all(cell.isdecimal() for cell in line.split(mark)):
            continue
        size = size or width
        word = line[: line.find(mark)]
        if width == size > 0 and not wanted(word):
            continue
        vector = _vector(line.split(mark)[-size:]) if width >= size > 0 else None
        if vector is None:
            numbers = f"{size} numbers" if size else "numbers"
            faults.add(path, number, f"not a word and {numbers}", "give GloVe's text format")
        elif width == size:
            yield word, vector


def _vector(values: list[str]) -> Vector | None:
    try:
        vector = np.array(values, np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None
