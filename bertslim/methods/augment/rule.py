"""What a rule is: something that changes single words, or a whole sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bertslim.methods.augment.sentence import Sentence

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.readers.vectors import Vectors

Draw = Callable[[int, np.random.Generator], str | None]
"""What to write at a place of the sentence; None if the rule has nothing to offer there."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What rules are made of; each takes what it needs."""

    texts: Callable[[], Sequence[str]]
    """The texts to augment."""
    seed: int
    mask_token: str
    candidates: int
    """K: among how many words is drawn."""
    max_length: int
    """Tokens of a text that the masked language model reads."""
    model: "SlimBertPreTrainedModel | None" = None
    tokenizer: "PreTrainedTokenizerBase | None" = None
    vectors: "Vectors | None" = None
    tags: dict[str, Any] | None = None
    """The part of speech of each word."""


class WordRule(Protocol):
    """Replaces words."""

    def drawer(self, sentence: Sentence) -> Draw:
        """Look at a sentence once; what is drawn later is drawn for it as it was."""


class SentenceRule(Protocol):
    """Changes a sentence as a whole, after its words."""

    def changed(self, sentence: Sentence, random: np.random.Generator) -> Sentence:
        """Return another sentence."""
