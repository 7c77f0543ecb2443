"""Masked language modelling: texts run together and cut into full rows."""

from collections.abc import Iterable, Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from bertslim.train.readers.arrow import Columns
from bertslim.train.task import Task


def encode_chunks(
    batches: Iterable[Columns],
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    *,
    token_types: bool,
) -> Iterator[Columns]:
    """Cut [CLS] text [SEP] text [SEP] ... into chunks of `max_length` tokens; the last is shorter.

    Texts are run together across their borders with a separator between them, as RoBERTa's
    FULL-SENTENCES (Liu et al. 2019, section 4.2). The masks are drawn anew at every collation.
    """
    body = task.max_length - 2
    waiting: list[int] = []
    done = 0
    for batch in batches:
        for ids in _pieces(batch["text"], tokenizer):
            waiting += [*ids, tokenizer.sep_token_id] if ids else []
        full = len(waiting) // body * body
        chunks = [waiting[at : at + body] for at in range(0, full, body)]
        yield _columns(chunks, done, tokenizer, token_types)
        waiting, done = waiting[full:], done + len(chunks)
    if waiting:
        yield _columns([waiting], done, tokenizer, token_types)


def _pieces(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    encodings = tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
    )
    pieces: list[list[int]] = encodings["input_ids"]
    return pieces


def _columns(
    chunks: list[list[int]], first: int, tokenizer: PreTrainedTokenizerBase, token_types: bool
) -> Columns:
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = [[begin, *chunk, *([] if chunk[-1] == end else [end])] for chunk in chunks]
    columns: Columns = {"example": range(first, first + len(rows)), "input_ids": rows}
    if token_types:
        columns["token_type_ids"] = [[0] * len(row) for row in rows]
    return columns
