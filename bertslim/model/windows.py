"""How attention within a window is cut into blocks of tokens, where a graph computes it so."""

BLOCK = 63
"""Queries that share their keys; with the first token, those of a window of 64 meet 128 keys."""


def reach_of(window: int) -> int:
    """How far a token sees to each side."""
    return window // 2


def longest_whole(window: int) -> int:
    """Length up to which all tokens are one block: cutting would not save what it costs."""
    return 2 * (BLOCK + 2 * reach_of(window))


def keys_of_block(window: int) -> int:
    """How many keys the queries of a block meet: their own, those around, and the first token's."""
    return BLOCK + 2 * reach_of(window) + 1


def scores_of(window: int | None, targets: int, length: int) -> int:
    """Count the scores of one head.

    Args:
        window: None: all tokens are attended to.
        targets: How many tokens attend; if not all, the first one does, which sees all.
        length: Tokens in the sequence.
    """
    if window is None or targets < length or length <= longest_whole(window):
        return targets * length
    blocks = -(-length // BLOCK)
    # the first token meets all once more
    return blocks * BLOCK * keys_of_block(window) + length
