"""Word vectors in a text file, as GloVe, word2vec and fastText write them."""

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertslim.console import note
from bertslim.errors import DataError
from bertslim.train.readers.cells import cells
from bertslim.train.readers.faults import FaultLog

Vector = npt.NDArray[np.float32]
WordVectors = tuple[tuple[str, ...], Vector]


def first_vectors(path: Path, most: int) -> WordVectors:
    """Read the first words of a file and their vectors, (words, channels).

    Raises:
        DataError: With file and line of what is wrong.
    """
    faults = FaultLog()
    read = list(islice(_entries(path, faults), most))
    if not read and not faults.count:
        faults.add(path, None, "holds no vectors")
    faults.raise_if_any("--vectors")
    return tuple(word for word, _ in read), np.stack([vector for _, vector in read])


def vectors_of(path: Path, words: Collection[str]) -> dict[str, Vector]:
    """Read the vectors of some words; one that stands there in capitals alone is found as well.

    Raises:
        DataError: With the lines that are broken, or if not one of the words is there.
    """
    wanted, faults = set(words), FaultLog()
    found: dict[str, Vector] = {}
    for word, vector in _entries(path, faults):
        if word in wanted:
            found[word] = vector
        elif word.lower() in wanted:
            found.setdefault(word.lower(), vector)
    faults.raise_if_any(f"--embeddings {path} is not a file of word vectors")
    if not found:
        raise DataError(
            f"--embeddings {path} has none of the {len(wanted):,} words of the vocabulary",
            "on each line stand a word and its numbers, with spaces between",
        )
    note(f"{path.name} has vectors of {len(found):,} of {len(wanted):,} words")
    return found


def _entries(path: Path, faults: FaultLog) -> Iterator[tuple[str, Vector]]:
    """Yield words and vectors, all as wide as the first.

    A first line of two numbers, as word2vec has it, is passed over; so are entries of several
    words, which the largest GloVe file holds.
    """
    size = 0
    for number, line in cells(path, faults):
        if number == 1 and len(line) == 2:
            continue
        size = size or len(line) - 1
        vector = _vector(line[-size:]) if len(line) > size > 0 else None
        if vector is None:
            wanted = f"{size} numbers" if size else "numbers"
            faults.add(path, number, f"not a word and {wanted}", "give GloVe's text format")
        elif len(line) == size + 1:
            yield line[0], vector


def _vector(values: list[str]) -> Vector | None:
    try:
        vector = np.array(values, np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None
