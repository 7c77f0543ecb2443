"""Encoding: from canonical columns to token ids, one file per kind of task."""

from bertslim.train.encoding.encode import encode
from bertslim.train.encoding.masking import (
    Masking,
    ask_words,
    mask_by_number,
    mask_tokens,
    masking_of,
)

__all__ = ["Masking", "ask_words", "encode", "mask_by_number", "mask_tokens", "masking_of"]
