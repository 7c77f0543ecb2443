"""A linear-chain CRF over the tags of a sentence's words (Lafferty, McCallum and Pereira 2001).

The score of a path of tags y through the emissions e of n words is

    s(y) = start[y_1] + sum_t e_t[y_t] + sum_t transitions[y_t-1, y_t] + end[y_n]

Words are some of a row's positions: the chain runs from one to the next, over what lies in between.
Like `modeling.py`, this file is copied into checkpoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

IGNORED_LABEL = -100
"""Of positions that are no word's."""


class Scores(NamedTuple):
    """What a chain adds to the emissions."""

    transitions: Tensor
    """(labels, labels): from the row's tag to the column's."""
    start: Tensor
    """(labels,): of the first word's tag,"""
    end: Tensor
    """and of the last one's."""


class Crf(nn.Module):
    """The scores of a chain; all begin as 0, where tags do not depend on each other."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.start = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))

    def forward(self) -> Scores:
        """Return the scores."""
        return Scores(self.transitions, self.start, self.end)


def chain_loss(scores: Scores, logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log p(tags), summed over the sentences of a batch and divided by their words.

    So it is a mean over words, as the cross entropy of each by itself.

    Args:
        scores: Of the chain.
        logits: The emissions, (batch, length, labels).
        labels: (batch, length); `IGNORED_LABEL` where there is no word.
    """
    at = labels != IGNORED_LABEL
    places, real = words_first(at)
    emissions = _taken(logits.float(), places)
    tags = labels.gather(1, places).masked_fill(~real, 0)
    # -log p(y) = log Z - s(y)
    surprise = log_partition(scores, emissions, real) - path_score(scores, emissions, tags, real)
    return (surprise * real[:, 0]).sum() / at.sum()


def best_tags(scores: Scores, logits: Tensor, at: Tensor) -> Tensor:
    """Return the tags of the best path, (batch, length); `IGNORED_LABEL` where there is no word.

    Args:
        scores: Of the chain.
        logits: The emissions, (batch, length, labels).
        at: (batch, length), true at the words.
    """
    places, real = words_first(at)
    path = viterbi(scores, _taken(logits.float(), places), real)
    tags = torch.full_like(at, IGNORED_LABEL, dtype=torch.long)
    tags[at] = path[real]
    return tags


def words_first(at: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the words of each row, and which of these are real, (batch, words).

    Rows with fewer words than the longest end with places that are not real; there is one at least.
    """
    counts = at.sum(1)
    order = (~at).to(torch.uint8).argsort(dim=1, stable=True)
    places = order[:, : max(1, int(counts.max()))]
    numbers = torch.arange(places.shape[1], device=at.device)
    return places, numbers < counts.unsqueeze(1)


def log_partition(scores: Scores, emissions: Tensor, real: Tensor) -> Tensor:
    """Return log Z, the log of the sum of exp s(y) over all paths, (batch,).

    Args:
        scores: Of the chain.
        emissions: (batch, words, labels).
        real: (batch, words), true at the words, which come first.
    """
    # a_1(j) = start_j + e_1j        a_t(j) = e_tj + log sum_i exp(a_t-1(i) + transitions_ij)
    alpha = scores.start + emissions[:, 0]  # (batch, labels)
    for e, there in _steps(emissions, real):
        ahead = e + (alpha.unsqueeze(2) + scores.transitions).logsumexp(1)
        alpha = torch.where(there, ahead, alpha)
    return (alpha + scores.end).logsumexp(1)


def path_score(scores: Scores, emissions: Tensor, tags: Tensor, real: Tensor) -> Tensor:
    """Return s(y) of one path of each row, (batch,); `tags` (batch, words) hold it."""
    told = emissions.gather(2, tags.unsqueeze(2)).squeeze(2) * real
    moves = scores.transitions[tags[:, :-1], tags[:, 1:]] * real[:, 1:]
    last = tags.gather(1, (real.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
    return scores.start[tags[:, 0]] + told.sum(1) + moves.sum(1) + scores.end[last]


def viterbi(scores: Scores, emissions: Tensor, real: Tensor) -> Tensor:
    """Return the path with the highest score, (batch, words); see `log_partition`.

    Behind a sentence's last word its tag is repeated.
    """
    best, origins = scores.start + emissions[:, 0], []
    stay = torch.arange(best.shape[1], device=best.device)
    for e, there in _steps(emissions, real):
        # v_t(j) = e_tj + max_i (v_t-1(i) + transitions_ij)
        arriving, origin = (best.unsqueeze(2) + scores.transitions).max(1)
        best = torch.where(there, e + arriving, best)
        origins.append(torch.where(there, origin, stay))
    tag = (best + scores.end).argmax(1, keepdim=True)  # (batch, 1)
    path = [tag]
    for origin in reversed(origins):
        path.append(origin.gather(1, path[-1]))
    return torch.cat(path[::-1], dim=1)


def _steps(emissions: Tensor, real: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the emissions of all words but the first, and whether they are there, (batch, 1)."""
    there = real[:, 1:].unsqueeze(2).unbind(1)
    return list(zip(emissions[:, 1:].unbind(1), there, strict=True))


def _taken(logits: Tensor, places: Tensor) -> Tensor:
    """(batch, length, labels) at (batch, words) places -> (batch, words, labels)."""
    return logits.gather(1, places.unsqueeze(2).expand(-1, -1, logits.shape[2]))
