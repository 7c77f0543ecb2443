"""Extractive questions: long contexts in overlapping pieces, answers as first and last token."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Features, List, Value
from transformers import PreTrainedTokenizerBase

from bertslim.train.encoding.columns import token_columns, token_features
from bertslim.train.readers.arrow import Columns
from bertslim.train.task import Task

NO_ANSWER = 0
"""Position of [CLS], which stands for "no answer here" (Devlin et al. 2019, section 4.3)."""

OUTSIDE = -1
"""Offset of tokens that are not of the context."""

Offsets = npt.NDArray[np.int32]
"""Where each token begins and ends in the context: (length, 2)."""


def span_features(token_types: bool) -> Features:
    """Return the types of the encoded columns."""
    position = Value("int64")
    offsets = List(List(Value("int32")))
    return token_features(
        token_types, start_positions=position, end_positions=position, offsets=offsets
    )


def encode_spans(
    batches: Iterable[Columns],
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    *,
    token_types: bool,
) -> Iterator[Columns]:
    """Tokenise question and context; pieces of a long context share `task.stride` tokens.

    Of several answers, the first is the one to learn.
    """
    for batch in batches:
        encodings = tokenizer(
            _shortened(batch["question"], tokenizer, task.max_length // 2),
            batch["context"],
            truncation="only_second",
            max_length=task.max_length,
            stride=task.stride,
            return_overflowing_tokens=True,
            return_token_type_ids=token_types,
            return_attention_mask=False,
        )
        rows = encodings["overflow_to_sample_mapping"]
        offsets = [_context_offsets(encoding) for encoding in encodings.encodings]
        answers = [batch["answers"][row] for row in rows]
        spans = [_positions(*pair) for pair in zip(offsets, answers, strict=True)]
        yield {
            **token_columns(encodings, [batch["example"][row] for row in rows]),
            "start_positions": [start for start, _ in spans],
            "end_positions": [end for _, end in spans],
            "offsets": offsets,
        }


def _shortened(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, limit: int
) -> list[str]:
    """Cut questions of more than `limit` tokens, so that there is room for context."""
    stripped = [question.strip() for question in questions]
    encodings: Any = tokenizer(
        stripped, add_special_tokens=False, truncation=True, max_length=limit
    ).encodings
    pairs = zip(stripped, encodings, strict=True)
    return [text[: encoding.offsets[-1][1]] if len(encoding) else text for text, encoding in pairs]


def _context_offsets(encoding: Any) -> Offsets:
    offsets = np.array(encoding.offsets, dtype=np.int32)  # (length, 2)
    of_context = np.array([part == 1 for part in encoding.sequence_ids])  # (length,)
    return np.where(of_context[:, None], offsets, np.int32(OUTSIDE))


def _positions(offsets: Offsets, answers: dict[str, list[Any]]) -> tuple[int, int]:
    """Return first and last token of the answer; [CLS] twice if it is not whole in this piece."""
    context = np.flatnonzero(offsets[:, 0] != OUTSIDE)
    if not answers["text"] or not context.size:
        return NO_ANSWER, NO_ANSWER
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    starts, ends = offsets[context].T  # (context tokens,) each
    if begin < starts[0] or end > ends[-1]:
        return NO_ANSWER, NO_ANSWER
    first = np.searchsorted(ends, begin, side="right")
    last = np.searchsorted(starts, end, side="left") - 1
    return int(context[first]), int(context[max(first, last)])
