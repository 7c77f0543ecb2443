"""The columns that every encoded row has."""

from collections.abc import Sequence
from typing import Any

from datasets import Features, List, Value
from transformers import PreTrainedTokenizerBase

from bertslim.train.readers.arrow import Columns


def token_features(tokenizer: PreTrainedTokenizerBase, **more: Any) -> Features:
    """Return the types of the shared columns, and of a kind's own."""
    types = {"input_ids": List(Value("int32"))}
    if has_token_types(tokenizer):
        types["token_type_ids"] = List(Value("int8"))
    return Features({"example": Value("int64"), **types, **more})


def has_token_types(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model behind this tokenizer tells first from second texts."""
    return "token_type_ids" in tokenizer.model_input_names


def token_columns(encodings: Any, examples: Sequence[int]) -> Columns:
    """Take the shared columns from what the tokenizer returned."""
    names = [name for name in ("input_ids", "token_type_ids") if name in encodings]
    return {"example": examples, **{name: encodings[name] for name in names}}
