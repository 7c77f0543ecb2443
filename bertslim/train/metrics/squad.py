"""Extractive answers: exact match and word overlap, as SQuAD's own scripts count them."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Outcomes = npt.NDArray[np.float64]
"""Per question: exact match and F1: (questions, 2)."""

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Return the answer in lower case, without punctuation, articles and superfluous spaces."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def answer_exact(answer: str, true: str) -> float:
    """Return 1 if the answers are the same once normalised."""
    return float(normalised(answer) == normalised(true))


def answer_f1(answer: str, true: str) -> float:
    """Return the F1 of the words of two answers; "no answer" overlaps with nothing but itself."""
    said, there = normalised(answer).split(), normalised(true).split()
    if not said or not there:
        return float(said == there)
    common = sum((Counter(said) & Counter(there)).values())
    return 2 * common / (len(said) + len(there))


def question_outcome(answer: str, true: Sequence[str]) -> tuple[float, float]:
    """Return exact match and F1 with the nearest true answer; none at all means unanswerable."""
    # As SQuAD 2.0's script: answers that are articles or punctuation alone do not count.
    answers = [text for text in true if normalised(text)] or [""]
    return _best(answer_exact, answer, answers), _best(answer_f1, answer, answers)


def exact_match(outcomes: Outcomes) -> float:
    """Return the share of questions answered exactly."""
    return float(outcomes[:, 0].mean())


def overlap_f1(outcomes: Outcomes) -> float:
    """Return the mean F1 of the questions."""
    return float(outcomes[:, 1].mean())


def _best(compare: Callable[[str, str], float], answer: str, answers: Sequence[str]) -> float:
    return max(compare(answer, true) for true in answers)
