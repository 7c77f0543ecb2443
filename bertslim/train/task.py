"""A task: the kind of work, the data and the metric, as a TOML file names them."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bertslim.errors import DataError, fault_list
from bertslim.store.digest import file_digest, settings_digest
from bertslim.train.task_schema import (
    EXTENSIONS,
    FILES,
    FORMATS,
    FORMATS_WITH_KEY,
    HUB,
    KINDS,
    METRICS,
    ROLES,
    TOP,
    column_keys,
    key_faults,
    kind_faults,
)

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")

MAX_LENGTHS = {"question-answering": 384}
MAX_LENGTH = 128
STRIDE = 128
MAX_ANSWER_LENGTH = 30
MASK_PROBABILITY = 0.15


@dataclass(frozen=True, slots=True)
class Layout:
    """How the data files are written."""

    format: str
    """Empty: each file's extension tells."""
    encoding: str
    header: tuple[str, ...]
    """Names of the columns of files without a header line; empty: the first line names them."""
    quoting: bool | None
    """Whether a cell may stand in double quotes; None: in CSV yes, in TSV no."""
    pattern: str
    """Regular expression for `lines`; its named groups are the columns."""
    token_prefix: str


@dataclass(frozen=True, slots=True)
class HubData:
    """A data set of the hub, with the names of its splits."""

    name: str
    config: str | None
    train: str
    validation: str


@dataclass(frozen=True, slots=True)
class Task:
    """Everything a task file says, with its defaults filled in."""

    name: str
    """The file's name without `.toml`."""
    kind: str
    metric: str
    max_length: int
    """Tokens per row, special tokens included; longer texts are cut (questions: strided)."""
    labels: tuple[str, ...]
    """In the order of their ids; empty: found in the training data."""
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    hub: HubData | None
    layout: Layout
    columns: Mapping[str, str]
    """Where each role stands: text, text_pair, label, tokens, tags, question, context, answers."""
    stride: int
    """Tokens that two pieces of a long context share."""
    max_answer_length: int
    """In tokens."""
    null_threshold: float | None
    """A question is left unanswered when "no answer" beats the best answer by more than this."""
    mask_probability: float

    def paths(self, split: Split) -> tuple[Path, ...]:
        """Return the files of a split; empty when it is on the hub or not named at all."""
        return self.train if split == "train" else self.validation


def load_task(path: Path) -> Task:
    """Read a task file; its data paths are relative to the file itself.

    Raises:
        DataError: with every fault: unknown keys, values out of range, absent files.
    """
    document = _parse(path)
    faults = list(_faults(document, path.parent))
    if faults:
        raise DataError(
            fault_list(f"{path} is not a valid task file", faults),
            "docs/tasks.md describes every key, with an example per kind of task",
        )
    return _task(document, path)


def format_of(path: Path, layout: Layout) -> str:
    """Return the format of a data file: as the task file says, else by its extension, else ""."""
    return layout.format or EXTENSIONS.get(path.suffix.lower(), "")


def task_digest(task: Task, splits: Sequence[Split]) -> str:
    """Return the digest of what determines the data of these splits.

    Settings and the contents of files count; the task's name and where its files lie do not.
    A hub data set counts by its name, configuration and splits.
    """
    settings = asdict(task)
    for name in ("name", *SPLITS):
        del settings[name]
    contents = {split: [file_digest(path) for path in task.paths(split)] for split in splits}
    return settings_digest({"settings": settings, "contents": contents})


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: the task file cannot be read ({error.strerror})",
            "--task names a TOML file; configs/tasks holds examples",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}", "texts stand in double quotes") from error


def _faults(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
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
    yield from kind_faults(document, TOP, kind, "")
    data = document.get("data", {})
    yield from kind_faults(data, FILES, kind, "[data] ")
    if document.get("metric", METRICS[kind][0]) not in METRICS[kind]:
        choices = ", ".join(METRICS[kind])
        yield f"metric = {document['metric']!r}: {kind} is judged by one of {choices}"
    if kind == "question-answering":
        yield from _stride_faults(document)
    if "hub" not in data:
        yield from _format_faults(data, kind)


def _stride_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """A question may take half the row, and every piece must bring new context."""
    stride = document.get("stride", STRIDE)
    length = document.get("max_length", MAX_LENGTHS["question-answering"])
    if isinstance(stride, int) and isinstance(length, int) and stride > length // 2 - 8:
        yield f"stride = {stride}: must be at most max_length / 2 - 8 = {length // 2 - 8}"


def _data_faults(data: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield from key_faults(data, HUB if "hub" in data else FILES, "[data] ")
    if not any(split in data for split in SPLITS):
        yield "[data] names neither train nor validation"
    if "hub" in data:
        return
    for split in SPLITS:
        for name in _names(data.get(split)):
            if not (folder / name).is_file():
                yield f"[data] {split} = {name!r}: no such file in {folder}"


def _format_faults(data: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield files whose format is unknown or wrong for the kind, and keys without effect."""
    layout = _layout(data)
    formats: dict[str, None] = {}
    for name in [name for split in SPLITS for name in _names(data.get(split))]:
        found = format_of(Path(name), layout)
        formats[found] = None
        if not found:
            yield f"[data] {name!r}: the extension tells no format; set format"
    for found in formats:
        if found and found not in FORMATS[kind]:
            yield f"[data] format {found}: {kind} reads {', '.join(FORMATS[kind])}"
    for key, meant in FORMATS_WITH_KEY.items():
        if key in data and not set(formats) & set(meant):
            yield f"[data] {key}: has a meaning for {' and '.join(meant)} files only"
    if "lines" in formats and kind != "masked-lm" and "pattern" not in data:
        yield "[data] pattern: missing; it divides a line into named columns"


def _names(value: Any) -> list[str]:
    """A path or a list of paths as a list; whatever is neither is another fault's business."""
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str)]


def _layout(data: Mapping[str, Any]) -> Layout:
    return Layout(
        format=data.get("format", ""),
        encoding=data.get("encoding", "utf-8"),
        header=tuple(data.get("header", ())),
        quoting=data.get("quoting"),
        pattern=data.get("pattern", ""),
        token_prefix=data.get("token_prefix", ""),
    )


def _hub(data: Mapping[str, Any]) -> HubData | None:
    if "hub" not in data:
        return None
    train, validation = data.get("train", ""), data.get("validation", "")
    return HubData(data["hub"], data.get("config"), train, validation)


def _columns(document: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Each role is by default the column of its own name."""
    given = document.get("columns", {})
    columns = {role: given.get(role, role) for role in ROLES[kind]}
    if isinstance(columns.get("text"), list):
        columns["text"], columns["text_pair"] = columns["text"]
    return columns


def _task(document: Mapping[str, Any], path: Path) -> Task:
    kind, data = document["kind"], document["data"]
    get: Callable[[str, Any], Any] = document.get
    files = {split: () if "hub" in data else _names(data.get(split)) for split in SPLITS}
    return Task(
        name=path.stem,
        kind=kind,
        metric=get("metric", METRICS[kind][0]),
        max_length=get("max_length", MAX_LENGTHS.get(kind, MAX_LENGTH)),
        labels=tuple(get("labels", ())),
        train=tuple(path.parent / name for name in files["train"]),
        validation=tuple(path.parent / name for name in files["validation"]),
        hub=_hub(data),
        layout=_layout(data),
        columns=_columns(document, kind),
        stride=get("stride", STRIDE),
        max_answer_length=get("max_answer_length", MAX_ANSWER_LENGTH),
        null_threshold=get("null_threshold", None),
        mask_probability=get("mask_probability", MASK_PROBABILITY),
    )
