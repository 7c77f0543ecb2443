"""A task: the kind of work, the data and the metric, as a TOML file names them."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bertslim.errors import DataError, fault_list
from bertslim.store.digest import file_digest, settings_digest
from bertslim.train.task_faults import names_of, task_faults
from bertslim.train.task_schema import (
    MASK_PROBABILITY,
    MAX_ANSWER_LENGTH,
    MAX_LENGTH,
    MAX_LENGTHS,
    METRICS,
    ROLES,
    SPLITS,
    STRIDE,
    Split,
    guessed_format,
)

__all__ = ["HubData", "Layout", "Split", "Task", "format_of", "load_task", "task_digest"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the data files are written."""

    format: str = ""
    """Empty: each file's extension tells."""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    """Names of the columns of files without a header line; empty: the first line names them."""
    quoting: bool | None = None
    """Whether a cell may stand in double quotes; None: in CSV yes, in TSV no."""
    pattern: str = ""
    """Regular expression for `lines`; its named groups are the columns."""
    token_prefix: str = ""


@dataclass(frozen=True, slots=True)
class HubData:
    """A data set of the hub, with the names of its splits."""

    name: str
    config: str | None
    train: str
    validation: str

    def split(self, split: Split) -> str:
        """Return the hub's name of a split; empty when there is none."""
        return self.train if split == "train" else self.validation


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
    faults = list(task_faults(document, path.parent))
    if faults:
        raise DataError(
            fault_list(f"{path} is not a valid task file", faults),
            "docs/tasks.md describes every key, with an example per kind of task",
        )
    return _task(document, path)


def format_of(path: Path, layout: Layout) -> str:
    """Return the format of a data file: as the task file says, else by its extension, else ""."""
    return guessed_format(path, layout.format)


def task_digest(task: Task, splits: Sequence[Split]) -> str:
    """Return the digest of what determines the data of these splits.

    Settings and the contents of files count; the task's name and where its files lie do not.
    A hub data set counts by its name, configuration and splits.
    """
    settings = asdict(task)
    for name in ("name", *SPLITS):
        del settings[name]
    # A format that the extension tells counts like one that the task file names.
    del settings["layout"]["format"]
    contents = {
        split: [_content(path, task.layout) for path in task.paths(split)] for split in splits
    }
    return settings_digest({"settings": settings, "contents": contents})


def _content(path: Path, layout: Layout) -> tuple[str, str]:
    return format_of(path, layout), file_digest(path)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8").removeprefix("\ufeff"))
    except OSError as error:
        raise DataError(
            f"{path}: the task file cannot be read ({error.strerror})",
            "--task names a TOML file; configs/tasks holds examples",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}", "texts stand in double quotes") from error


def _layout(data: Mapping[str, Any]) -> Layout:
    given = {field.name: data[field.name] for field in fields(Layout) if field.name in data}
    return Layout(**given | {"header": tuple(data.get("header", ()))})


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
    files = {split: () if "hub" in data else names_of(data.get(split)) for split in SPLITS}
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
