"""Where the vectors of a recurrent student's words begin."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PIECE_MARKS = ("##", "Ġ", "▁")
"""What vocabularies put in front of pieces: inside a word, or behind a space."""


WORD_SIZE = 0.1
"""Root mean square of the values of a word's vector, where the teacher's are taken."""


def principal_table(table: Tensor, width: int, size: float = WORD_SIZE) -> Tensor:
    """Return the vectors of words in fewer channels, as near as a projection can be.

    Mukherjee and Awadallah 2020, section 4, start from the singular vectors of the teacher's table:
    with E = U S V^T, the words are E V_k = U_k S_k.

    Args:
        table: E, (words, channels).
        width: k, at most `channels`.
        size: Root mean square of the result's values.
    """
    # V of the small E^T E, (channels, channels), in place of a decomposition of all words
    wide = table.double()
    _, directions = torch.linalg.eigh(wide.T @ wide)  # ascending
    words: Tensor = wide @ directions.flip(1)[:, :width]
    words = words * size / words.square().mean().sqrt()
    return words.float()


def piece_means(pieces: Sequence[Sequence[int]], table: Tensor) -> Tensor:
    """Return for each word the mean vector of the pieces it is made of, (words, channels)."""
    lengths = torch.tensor([len(word) for word in pieces])
    flat = torch.tensor([piece for word in pieces for piece in word], dtype=torch.long)
    starts = lengths.cumsum(0) - lengths
    means: Tensor = torch.nn.functional.embedding_bag(flat, table, starts, mode="mean")
    return means


def table_of(vectors: Mapping[str, Tensor], words: Sequence[str], seed: int) -> Tensor:
    """Return the vectors of words that are known by name; others are drawn, as large as those.

    Args:
        vectors: (width,) by word; at least one.
        words: The vocabulary, marks of pieces among it.
        seed: Of the drawing.
    """
    known = torch.stack(list(vectors.values()))
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(len(words), known.shape[1], generator=generator)
    table *= known.square().mean().sqrt()
    for number, word in enumerate(words):
        if (vector := vectors.get(plain(word))) is not None:
            table[number] = vector
    return table


def plain(word: str) -> str:
    """Return a word of a vocabulary without the marks of pieces."""
    mark = next((m for m in PIECE_MARKS if word.startswith(m) and word != m), "")
    return word.removeprefix(mark)


def in_text(word: str) -> str:
    """Return a word of a vocabulary as texts have it: without marks, behind a space."""
    return f" {plain(word)}"
