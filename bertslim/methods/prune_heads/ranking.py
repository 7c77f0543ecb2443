"""Which heads matter least, given their scores."""

from collections.abc import Iterator, Sequence

from torch import Tensor


def normalised(scores: Sequence[Tensor], kept: Sequence[Tensor]) -> list[Tensor]:
    """Divide each layer's scores by their L2 norm over the heads that are still there."""
    masked = [score * mask for score, mask in zip(scores, kept, strict=True)]
    return [score / norm if (norm := score.norm()) > 0 else score for score in masked]


def least_important(
    scores: Sequence[Tensor], kept: Sequence[Tensor], count: int, keep_at_least: int
) -> Iterator[tuple[int, int]]:
    """Yield the `count` least important heads, never emptying a layer below its minimum."""
    candidates = sorted(
        (float(scores[layer][head]), layer, head)
        for layer, mask in enumerate(kept)
        for head in mask.nonzero().flatten().tolist()
    )
    left = [int(mask.sum()) for mask in kept]
    for _, layer, head in candidates:
        if count == 0:
            return
        if left[layer] > keep_at_least:
            left[layer] -= 1
            count -= 1
            yield layer, head
