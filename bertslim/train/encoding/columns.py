"""The columns that every encoded row has."""

from collections.abc import Sequence
from typing import Any

from datasets import Features, List, Value

from bertslim.train.readers.arrow import Columns


def token_features(token_types: bool, **more: Any) -> Features:
    """Return the types of the shared columns, and of a kind's own."""
    types = {"input_ids": List(Value("int32"))}
    if token_types:
        types["token_type_ids"] = List(Value("int8"))
    return Features({"example": Value("int64"), **types, **more})


def token_columns(encodings: Any, examples: Sequence[int]) -> Columns:
    """Take the shared columns from what the tokenizer returned."""
    names = [name for name in ("input_ids", "token_type_ids") if name in encodings]
    return {"example": examples, **{name: encodings[name] for name in names}}
