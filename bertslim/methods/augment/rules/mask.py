"""`mask`: a word becomes the mask token: how much is it worth? (Tang et al. 2019, section 3.2)."""

from dataclasses import dataclass

import numpy as np

from bertslim.methods.augment.rule import Draw, Source
from bertslim.methods.augment.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Mask:
    """Writes one token in place of any word."""

    token: str

    @classmethod
    def made(cls, source: Source) -> "Mask":
        """Take the mask token that is asked for."""
        return cls(source.mask_token)

    def drawer(self, _sentence: Sentence) -> Draw:
        """Offer the same everywhere."""

        def draw(_place: int, _random: np.random.Generator) -> str:
            return self.token

        return draw
