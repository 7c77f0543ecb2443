"""What may stand in a task file: every key, what it accepts, and where it has a meaning."""

import codecs
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")

MAX_LENGTHS = {"question-answering": 384}
MAX_LENGTH = 128
STRIDE = 128
MAX_ANSWER_LENGTH = 30
MASK_PROBABILITY = 0.15

KINDS = (
    "text-classification",
    "text-regression",
    "token-classification",
    "question-answering",
    "masked-lm",
)

METRICS = {
    "text-classification": ("accuracy", "macro_f1", "f1", "mcc"),
    "text-regression": ("pearson", "spearman"),
    "token-classification": ("span_f1",),
    "question-answering": ("f1", "exact_match"),
    "masked-lm": ("accuracy",),
}
"""The metrics that may decide, per kind; the first is the default. Higher is better for all."""

ROLES = {
    "text-classification": ("text", "label"),
    "text-regression": ("text", "label"),
    "token-classification": ("tokens", "tags"),
    "question-answering": ("question", "context", "answers"),
    "masked-lm": ("text",),
}
"""What each kind reads from a row; `[columns]` says where it stands."""

TABLES = ("csv", "tsv", "jsonl", "parquet", "lines")
FORMATS = {
    "text-classification": TABLES,
    "text-regression": TABLES,
    "token-classification": ("conll", "jsonl", "parquet"),
    "question-answering": ("squad", "jsonl", "parquet"),
    "masked-lm": TABLES,
}

EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".json": "squad",
    ".txt": "lines",
    ".text": "lines",
    ".raw": "lines",
    ".tokens": "lines",
}
"""The last two are WikiText's own."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a task file."""

    accepts: Callable[[Any], bool]
    wanted: str
    """Completes "must be ..."."""
    kinds: tuple[str, ...] = KINDS


def one_of(*names: str) -> Key:
    """A key that takes one of a few words."""
    return Key(lambda value: value in names, f"one of {', '.join(names)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(map(_is_text, value))
        and len(set(value)) == len(value)
    )


def _is_text_or_names(value: Any) -> bool:
    return _is_text(value) or _is_names(value)


def _is_encoding(value: Any) -> bool:
    """Files are read line by line, so that a line must end in one plain newline byte."""
    try:
        return codecs.lookup(value).encode("a\n")[0].endswith(b"a\n")
    except (LookupError, TypeError, AttributeError, UnicodeError):
        return False


def _is_pattern(value: Any) -> bool:
    try:
        return len(re.compile(value).groupindex) > 0
    except (re.error, TypeError):
        return False


QA = ("question-answering",)
NAMES = "a list of different names"
PATHS = "a path or a list of different paths"

TOP = {
    "kind": one_of(*KINDS),
    "metric": Key(_is_text, "the name of a metric"),
    "max_length": Key(lambda value: _is_whole(value, 8), "a whole number, 8 or more"),
    "labels": Key(_is_names, NAMES, ("text-classification", "token-classification")),
    "stride": Key(lambda value: _is_whole(value, 1), "a whole number, 1 or more", QA),
    "max_answer_length": Key(lambda value: _is_whole(value, 1), "a whole number, 1 or more", QA),
    "null_threshold": Key(_is_number, "a number", QA),
    "mask_probability": Key(
        lambda value: _is_number(value) and 0 < value < 1, "between 0 and 1", ("masked-lm",)
    ),
    "data": Key(lambda value: isinstance(value, dict), "a table: [data]"),
    "columns": Key(lambda value: isinstance(value, dict), "a table: [columns]"),
}

FILES = {
    "train": Key(_is_text_or_names, PATHS),
    "validation": Key(_is_text_or_names, PATHS),
    "format": one_of(*TABLES, "conll", "squad"),
    "encoding": Key(_is_encoding, "a text encoding such as utf-8 or latin-1"),
    "header": Key(_is_names, NAMES),
    "quoting": Key(_is_flag, "true or false"),
    "pattern": Key(_is_pattern, "a regular expression with named groups, as in (?P<label>\\w+)"),
    "token_prefix": Key(_is_text, "the text before each token"),
}

HUB = {
    "hub": Key(_is_text, "the name of a data set on the hub"),
    "config": Key(_is_text, "the name of a configuration"),
    "train": Key(_is_text, "the name of a split"),
    "validation": Key(_is_text, "the name of a split"),
}

FORMATS_WITH_KEY = {
    "header": ("csv", "tsv", "conll"),
    "quoting": ("csv", "tsv"),
    "pattern": ("lines",),
    "token_prefix": ("conll",),
}
"""Keys of `[data]` that mean nothing for other formats."""


def column_keys(kind: str) -> dict[str, Key]:
    """Return the keys of `[columns]` for a kind: its roles, where a text may be a pair."""
    keys = dict.fromkeys(ROLES[kind], Key(_is_text, "the name of a column"))
    if kind.startswith("text-"):
        keys["text"] = Key(_is_text_or_pair, "the name of a column, or a list of two")
    return keys


def _is_text_or_pair(value: Any) -> bool:
    return _is_text(value) or (_is_names(value) and len(value) == 2)


def guessed_format(path: Path, given: str) -> str:
    """Return the format given, else the one that the extension tells, else ""."""
    return given or EXTENSIONS.get(path.suffix.lower(), "")


def is_bio_tag(tag: str) -> bool:
    """Whether a tag tells where a span of some type begins, goes on or is not."""
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def key_faults(table: Mapping[str, Any], keys: Mapping[str, Key], where: str) -> Iterator[str]:
    """Yield what is wrong with the keys and values of one table; `where` is "" or "[data] "."""
    for name, value in table.items():
        if name not in keys:
            yield f"{where}{name}: no such key{_suggestion(name, keys)}"
        elif not keys[name].accepts(value):
            yield f"{where}{name} = {_shown(value)}: must be {keys[name].wanted}"


def misplaced_keys(document: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield the keys that mean nothing for this kind of task."""
    for name in document:
        if name in TOP and kind not in TOP[name].kinds:
            yield f"{name}: has a meaning for {' and '.join(TOP[name].kinds)} only"


def _suggestion(name: str, keys: Mapping[str, Key]) -> str:
    near = difflib.get_close_matches(name, keys, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(keys)}"


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
