"""Vectors of words from a text file, as GloVe, word2vec and fastText write them."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertslim.console import note
from bertslim.errors import DataError
from bertslim.train.readers.faults import FaultLog

Vector = npt.NDArray[np.float32]


def read_vectors(path: Path, words: Collection[str]) -> dict[str, Vector]:
    """Read the vectors of some words: on each line a word and its numbers, with spaces between.

    A first line of two numbers, as word2vec and fastText write, is left out. A word that stands
    there in capitals alone is found as well.

    Raises:
        DataError: With the lines that are broken, or if not one of the words is there.
    """
    wanted, faults = set(words), FaultLog()
    found: dict[str, Vector] = {}
    width = 0
    for line, word, values in _lines(path, faults):
        width = width or len(values)
        if len(values) != width:
            faults.add(path, line, f"{len(values)} numbers, where the first word has {width}")
        elif (vector := _vector(values)) is None:
            faults.add(path, line, f"{word!r} has values that are not finite numbers")
        elif word in wanted:
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


def _lines(path: Path, faults: FaultLog) -> Iterator[tuple[int, str, list[str]]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            word, *values = line.rstrip().split(" ")
            if number == 1 and len(values) == 1 and word.isdecimal():
                continue
            if values:
                yield number, word, values
            else:
                faults.add(path, number, "a word without numbers")


def _vector(values: list[str]) -> Vector | None:
    try:
        vector = np.asarray(values, dtype=np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None
