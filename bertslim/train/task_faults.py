"""Everything that can be wrong with a task file, found at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertslim.train.task_schema import (
    FILES,
    FORMATS,
    FORMATS_WITH_KEY,
    HUB,
    KINDS,
    MAX_LENGTHS,
    METRICS,
    SPLITS,
    STRIDE,
    TOP,
    column_keys,
    guessed_format,
    is_bio_tag,
    key_faults,
    misplaced_keys,
)


def task_faults(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield all that is wrong with a task file whose folder this is."""
    yield from key_faults(document, TOP, "")
    kind = document.get("kind")
    if kind is None:
        yield f"kind: missing; one of {', '.join(KINDS)}"
    data, columns = document.get("data", {}), document.get("columns", {})
    if not isinstance(data, dict) or not isinstance(columns, dict):
        return
    yield from _data_faults(data, folder)
    if kind in KINDS:
        yield from _kind_faults(document, str(kind))
        yield from key_faults(columns, column_keys(str(kind)), "[columns] ")


def _kind_faults(document: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield what does not go together with the kind of task."""
    yield from misplaced_keys(document, kind)
    if document.get("metric", METRICS[kind][0]) not in METRICS[kind]:
        choices = ", ".join(METRICS[kind])
        yield f"metric = {document['metric']!r}: {kind} is judged by one of {choices}"
    if kind == "question-answering":
        yield from _stride_faults(document)
    if kind == "token-classification":
        yield from _label_faults(document.get("labels"))
    if "hub" not in document.get("data", {}):
        yield from _format_faults(document, kind)


def _stride_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """A question may take half the row, and every piece must bring new context."""
    stride = document.get("stride", STRIDE)
    length = document.get("max_length", MAX_LENGTHS["question-answering"])
    if isinstance(stride, int) and isinstance(length, int) and stride > length // 2 - 8:
        yield f"stride = {stride}: must be at most max_length / 2 - 8 = {length // 2 - 8}"


def _label_faults(labels: Any) -> Iterator[str]:
    """Spans are judged, which only BIO tags tell."""
    if wrong := [label for label in names_of(labels) if not is_bio_tag(label)]:
        yield f"labels: {' and '.join(map(repr, wrong))}: must be O, B-TYPE or I-TYPE"


def _data_faults(data: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield from key_faults(data, HUB if "hub" in data else FILES, "[data] ")
    if not any(split in data for split in SPLITS):
        yield "[data] names neither train nor validation"
    if "hub" in data:
        return
    for split in SPLITS:
        for name in names_of(data.get(split)):
            if not (folder / name).is_file():
                yield f"[data] {split} = {name!r}: no such file in {folder}"


def _format_faults(document: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield files whose format is unknown or wrong for the kind, and keys without effect."""
    data = document.get("data", {})
    formats = _formats(data)
    for name, found in formats.items():
        if not found:
            yield f"[data] {name!r}: the extension tells no format; set format"
    there = dict.fromkeys(formats.values())
    for found in there:
        if found and found not in FORMATS[kind]:
            yield f"[data] format {found}: {kind} reads {', '.join(FORMATS[kind])}"
    for key, meant in FORMATS_WITH_KEY.items():
        if there and key in data and not set(there) & set(meant):
            yield f"[data] {key}: has a meaning for {' and '.join(meant)} files only"
    if "lines" in there and kind != "masked-lm" and "pattern" not in data:
        yield "[data] pattern: missing; it divides a line into named columns"
    if "conll" in there and document.get("columns") and "header" not in data:
        yield "[columns]: conll files have names of columns only by header in [data]"


def _formats(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the format of each file; none of a file where the one that is given is no text."""
    given = data.get("format", "")
    if not isinstance(given, str):
        return {}
    names = (name for split in SPLITS for name in names_of(data.get(split)))
    return {name: guessed_format(Path(name), given) for name in names}


def names_of(value: Any) -> list[str]:
    """A path or a list of paths as a list; whatever is neither is another fault's business."""
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str)]
