"""`provenance.json`: what was asked, from what, with what result; written last."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bertslim.errors import CheckpointError, fault_list
from bertslim.store.digest import settings_digest
from bertslim.store.staging import RESUME

PROVENANCE = "provenance.json"
FORMAT = 1
REQUEST = {"command": str, "settings": dict}
STEP = {
    "format": int,
    "key": str,
    "request": dict,
    "options": dict,
    "report": dict,
    "created": str,
    "seconds": float | int,
}
"""What every reader relies on in a record, and in those of its lineage."""
FILES = {"files": dict | None}
"""What a record has beyond those; the first ones of this format had no sizes yet."""

MENDING = "remove the file: the checkpoint opens without it, and its lineage is lost"

RECORDED_PACKAGES = ("bertslim", "torch", "transformers", "datasets", "accelerate", "onnx")


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that determines a step's result, and nothing else (no paths, times, devices).

    Attributes:
        command: The subcommand's name.
        method_version: Raised when the same settings come to mean another result.
        settings: The options that matter, JSON-able.
        inputs: Digest of each input checkpoint, by role (`model`, `teacher`).
        data: Digest of each data set, by role (`task`).
    """

    command: str
    method_version: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    data: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The request's identity: equal keys mean equal results."""
        return settings_digest({"format": FORMAT, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Provenance:
    """What `provenance.json` holds.

    Attributes:
        key: The request's key.
        request: What was asked.
        options: The command's options as given, replayable through `--config`.
        sources: Where the inputs and the data lay, for people.
        report: The step's own figures.
        created: UTC time, ISO 8601.
        seconds: Wall time of the step.
        environment: Software and hardware.
        lineage: The steps that made the input, oldest first, each without lineage and files.
    """

    key: str
    request: Request
    options: dict[str, Any]
    sources: dict[str, str]
    report: dict[str, Any]
    created: str
    seconds: float
    environment: dict[str, str]
    lineage: tuple[dict[str, Any], ...] = ()
    format: int = FORMAT


def environment() -> dict[str, str]:
    """Describe the software and the machine of this process."""
    packages = {name: found for name in RECORDED_PACKAGES if (found := _version(name))}
    return {"python": platform.python_version(), **packages, "machine": machine_name()}


def machine_name() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_provenance(directory: Path, provenance: Provenance) -> None:
    """Write the record, with the sizes of all other files: the last file of a stage."""
    record = asdict(provenance) | {"files": _sizes(directory)}
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (directory / PROVENANCE).write_text(text + "\n", encoding="utf-8")


def read_record(directory: Path) -> dict[str, Any] | None:
    """Return the record of a finished step, or None where there is none.

    Raises:
        CheckpointError: If the record is not readable, or comes from a newer bertslim.
    """
    file = directory / PROVENANCE
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error})", MENDING) from error
    if wrong := _misshapen(record):
        raise CheckpointError(fault_list(f"{file} is no provenance record; wrong", wrong), MENDING)
    if record["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {record['format']}, this bertslim reads up to {FORMAT}",
            "update bertslim",
        )
    return dict(record)


def lineage_of(directory: Path) -> tuple[dict[str, Any], ...]:
    """Return the steps that led to a checkpoint, oldest first, its own step included."""
    record = read_record(directory)
    if record is None:
        return ()
    own = {name: value for name, value in record.items() if name not in ("lineage", "files")}
    return (*record["lineage"], own)


def changed_files(directory: Path, record: Mapping[str, Any]) -> list[str]:
    """Return the files of a finished step that are gone, or have another size than it gave them."""
    sizes = _sizes(directory)
    known = record.get("files") or {}
    return [name for name, size in known.items() if sizes.get(name) != size]


def _sizes(directory: Path) -> dict[str, int]:
    """Return the sizes in bytes of a directory's files; the state of a run is none of them."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    named = {path.relative_to(directory): path.stat().st_size for path in files}
    unnamed = (RESUME, PROVENANCE)
    return {path.as_posix(): size for path, size in named.items() if path.parts[0] not in unnamed}


def _misshapen(record: Any) -> list[str]:
    """Return the names of a record's fields that are not what their readers rely on."""
    lineage = _item(record, "lineage")
    whole = isinstance(lineage, list) and not any(map(_step_faults, lineage))
    return [*_step_faults(record), *([] if whole else ["lineage"]), *_wrong(record, FILES)]


def _step_faults(record: Any) -> list[str]:
    return [*_wrong(record, STEP), *_wrong(_item(record, "request"), REQUEST)]


def _wrong(record: Any, shape: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in shape.items() if not isinstance(_item(record, name), kind)]


def _item(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, dict) else None


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
