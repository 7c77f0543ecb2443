"""The answer to an extractive question, from the logits of all pieces of its context."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bertslim.train.encoding.spans import NO_ANSWER, OUTSIDE

Logits = npt.NDArray[np.floating[Any]]
"""One per token: (length,)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The best span of a piece, or of several."""

    score: float
    begin: int
    """In characters of the context."""
    end: int
    null_score: float
    """Score of "no answer here"."""

    def or_better(self, other: "Answer") -> "Answer":
        """Return the better span of two pieces; "no answer" has to hold in both of them."""
        best = max(self, other, key=lambda answer: answer.score)
        return Answer(best.score, best.begin, best.end, min(self.null_score, other.null_score))

    def text(self, context: str, null_threshold: float | None) -> str:
        """Return the span's text, or "" if "no answer" beats it by more than the threshold."""
        if null_threshold is not None and self.null_score - self.score > null_threshold:
            return ""
        return context[self.begin : self.end]


def best_answer(
    start: Logits, end: Logits, offsets: npt.NDArray[np.int32], max_length: int
) -> Answer:
    """Return the best of all spans of up to `max_length` tokens inside the context.

    Args:
        start: logits of each token to be the first: (length,).
        end: logits of each token to be the last: (length,).
        offsets: characters of each token, -1 outside the context: (length, 2).
        max_length: in tokens.
    """
    outside = offsets[:, 0] == OUTSIDE
    starts = np.where(outside, -np.inf, start)  # (length,)
    ends = np.where(outside, -np.inf, end)
    padded = np.concatenate([ends, np.full(max_length - 1, -np.inf)])
    # score[i, k] = start_i + end_(i+k), k < max_length (Devlin et al. 2019, section 4.2)
    scores = starts[:, None] + np.lib.stride_tricks.sliding_window_view(padded, max_length)
    first, more = np.unravel_index(int(scores.argmax()), scores.shape)
    begin, stop = offsets[first, 0], offsets[first + more, 1]
    null_score = float(start[NO_ANSWER] + end[NO_ANSWER])
    return Answer(float(scores[first, more]), int(begin), int(stop), null_score)
