"""The rules by name: a new one is a file here, and a line below.

Rules for words exclude each other at a word, and share the unit interval in this order; rules for
sentences follow.
"""

from collections.abc import Callable, Mapping

from bertslim.methods.augment.rule import SentenceRule, Source, WordRule
from bertslim.methods.augment.rules.mask import Mask
from bertslim.methods.augment.rules.masked_lm import MaskedLm
from bertslim.methods.augment.rules.ngram import NGram
from bertslim.methods.augment.rules.pos import PartOfSpeech

WORD_RULES: Mapping[str, Callable[[Source], WordRule]] = {
    "mask": Mask.made,
    "pos": PartOfSpeech.made,
    "masked-lm": MaskedLm.made,
}
SENTENCE_RULES: Mapping[str, Callable[[Source], SentenceRule]] = {"ngram": NGram.made}
