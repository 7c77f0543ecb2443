"""Encoding: from canonical columns to token ids, one file per kind of task."""

from bertslim.train.encoding.encode import encode
from bertslim.train.encoding.masking import Masking, mask_by_number, mask_tokens, masking_of

__all__ = ["Masking", "encode", "mask_by_number", "mask_tokens", "masking_of"]
