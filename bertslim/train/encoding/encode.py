"""Model-ready rows of token ids for every kind of task."""

from collections.abc import Iterator, Sequence

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from bertslim.console import track
from bertslim.errors import SettingsError
from bertslim.train.encoding.chunks import encode_chunks
from bertslim.train.encoding.columns import token_features
from bertslim.train.encoding.spans import encode_spans, span_features
from bertslim.train.encoding.texts import encode_texts, text_features
from bertslim.train.encoding.words import encode_words, word_features
from bertslim.train.readers.arrow import BATCH_ROWS, Columns, arrow_dataset
from bertslim.train.task import Task

UNKNOWN_LIMIT = 10**6
"""Tokenizers that know no limit give a huge one."""


def encode(
    data: Dataset,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    *,
    positions: int | None = None,
    token_types: bool = False,
) -> Dataset:
    """Tokenise canonical rows; nothing is padded, so that the attention mask is implied.

    Every row has `input_ids`, `token_type_ids` if they are wanted, `example` (the row's index in
    `data`; for masked-lm the chunk's own number), and by kind
      * texts: `labels`, a class id or a float; absent for data without labels;
      * words: `labels`, the tag's id on the first piece of each word, -100 elsewhere; `words`, the
        indices of the words that have such a piece;
      * questions: `start_positions`, `end_positions` (tokens; 0, [CLS], without an answer in this
        row), `offsets` (begin and end of each token in the context, -1 outside it); a long context
        makes several rows;
      * masked-lm: nothing; words are masked at collation, see `mask_tokens`.

    Args:
        data: from a reader.
        task: gives kind, max_length, stride.
        tokenizer: a fast one.
        labels: in the order of their ids.
        positions: how many tokens the model has positions for; by default the tokenizer's limit.
        token_types: whether the model tells first from second texts. Many a tokenizer does not say.

    Raises:
        SettingsError: max_length exceeds the positions.
        DataError: the data holds labels that are not among `labels`.
    """
    _check_length(task, positions or tokenizer.model_max_length)
    batches = _batches(data, f"tokenising {task.name}")
    if task.kind == "masked-lm":
        chunks = encode_chunks(batches, task, tokenizer, token_types=token_types)
        return arrow_dataset(chunks, token_features(token_types))
    if "tokens" in data.column_names:
        words = encode_words(batches, task, tokenizer, labels, token_types=token_types)
        return arrow_dataset(words, word_features(token_types))
    if "question" in data.column_names:
        spans = encode_spans(batches, task, tokenizer, token_types=token_types)
        return arrow_dataset(spans, span_features(token_types))
    texts = encode_texts(batches, task, tokenizer, labels, token_types=token_types)
    return arrow_dataset(texts, text_features(token_types, data))


def _batches(data: Dataset, description: str) -> Iterator[Columns]:
    for start in track(range(0, len(data), BATCH_ROWS), description):
        stop = min(start + BATCH_ROWS, len(data))
        yield {"example": range(start, stop), **data[start:stop]}


def _check_length(task: Task, limit: int) -> None:
    if limit < UNKNOWN_LIMIT and task.max_length > limit:
        raise SettingsError(
            f"max_length = {task.max_length} of task {task.name} exceeds the {limit} positions "
            "of the model",
            f"set max_length = {limit} or less in the task file",
        )
