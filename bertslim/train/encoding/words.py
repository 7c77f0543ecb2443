"""Tagging: the first piece of each word carries the word's tag."""

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datasets import Features, List, Value
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase

from bertslim.errors import DataError
from bertslim.train.batching import IGNORED_LABEL
from bertslim.train.encoding.columns import token_columns, token_features
from bertslim.train.readers.arrow import Columns
from bertslim.train.task import Task


def word_features(token_types: bool) -> Features:
    """Return the types of the encoded columns."""
    return token_features(token_types, labels=List(Value("int32")), words=List(Value("int32")))


def encode_words(
    batches: Iterable[Columns],
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    *,
    token_types: bool,
) -> Iterator[Columns]:
    """Tokenise sentences that are split into words; words beyond max_length are cut off.

    Without tags the labels only tell where words begin: 0 on the first piece of each.
    """
    splitter = _word_tokenizer(tokenizer)
    ids = {label: number for number, label in enumerate(labels)}
    for batch in batches:
        if unknown := {tag for tags in batch.get("tags", ()) for tag in tags} - ids.keys():
            raise DataError(
                f"tags other than {', '.join(ids)}: {', '.join(sorted(unknown))}",
                "the model and the task's data must agree on the tags",
            )
        encodings = splitter(
            batch["tokens"],
            is_split_into_words=True,
            truncation=True,
            max_length=task.max_length,
            return_token_type_ids=token_types,
            return_attention_mask=False,
        )
        columns = token_columns(encodings, batch["example"])
        words = [_first_pieces(encoding.word_ids) for encoding in encodings.encodings]
        numbers = [[ids[tag] for tag in tags] for tags in batch.get("tags", ())]
        yield columns | _labelled(words, numbers or [[0] * len(row) for row in batch["tokens"]])


def _first_pieces(word_ids: Sequence[int | None]) -> list[int]:
    """Return for each piece the word that begins there, else -1."""
    before = [None, *word_ids[:-1]]
    pairs = zip(word_ids, before, strict=True)
    return [-1 if word is None or word == last else word for word, last in pairs]


def _labelled(pieces: Sequence[Sequence[int]], tags: Sequence[Sequence[int]]) -> Columns:
    labels = [
        [row_tags[word] if word >= 0 else IGNORED_LABEL for word in row]
        for row, row_tags in zip(pieces, tags, strict=True)
    ]
    return {"labels": labels, "words": [[word for word in row if word >= 0] for row in pieces]}


def _word_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return a tokenizer that takes each word as one inside a sentence.

    Byte-level BPE (RoBERTa) marks a word by the space before it, which split words have lost.
    """
    backend: Any = tokenizer.backend_tokenizer
    state = json.loads(backend.to_str())["pre_tokenizer"] or {}
    if state.get("type") != "ByteLevel" or state["add_prefix_space"]:
        return tokenizer
    splitter = copy.deepcopy(tokenizer)
    splitter.backend_tokenizer.pre_tokenizer = ByteLevel(
        add_prefix_space=True, trim_offsets=state["trim_offsets"], use_regex=state["use_regex"]
    )
    return splitter
