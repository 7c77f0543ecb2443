"""Classification and regression: a text or a pair of texts, with a class, a score or nothing."""

from collections.abc import Iterable, Iterator, Sequence

from datasets import Dataset, Features, Value
from transformers import PreTrainedTokenizerBase

from bertslim.errors import DataError, fault_list
from bertslim.train.encoding.columns import token_columns, token_features
from bertslim.train.readers.arrow import Columns
from bertslim.train.task import Task


def text_features(token_types: bool, data: Dataset) -> Features:
    """Return the types of the encoded columns; data without labels has none here either."""
    if "label" not in data.column_names:
        return token_features(token_types)
    is_score = data.features["label"].dtype == "float64"
    return token_features(token_types, labels=Value("float32" if is_score else "int64"))


def encode_texts(
    batches: Iterable[Columns],
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    *,
    token_types: bool,
) -> Iterator[Columns]:
    """Tokenise texts; of a pair that is too long, the longer text is cut first."""
    ids = {label: number for number, label in enumerate(labels)}
    for batch in batches:
        encodings = tokenizer(
            batch["text"],
            batch.get("text_pair"),
            truncation=True,
            max_length=task.max_length,
            return_token_type_ids=token_types,
            return_attention_mask=False,
        )
        columns = token_columns(encodings, batch["example"])
        if "label" in batch:
            is_score = task.kind == "text-regression"
            columns["labels"] = batch["label"] if is_score else _class_ids(batch, ids)
        yield columns


def _class_ids(batch: Columns, ids: dict[str, int]) -> list[int]:
    places = zip(batch["example"], batch["label"], strict=True)
    unknown = [f"example {at} is {label!r}" for at, label in places if label not in ids]
    if unknown:
        raise DataError(
            fault_list(f"labels other than {', '.join(ids)}", unknown[:10]),
            "the model and the task's data must agree on the labels",
        )
    return [ids[label] for label in batch["label"]]
