"""Engines that were built before: a directory of plans, each with a JSON file that describes it.

The key covers all that an engine depends on, so one of another version or GPU is simply not found.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bertslim.console import detail
from bertslim.runtime.tensorrt.building import Built, Shape, build
from bertslim.runtime.tensorrt.flavours import Flavour
from bertslim.store.digest import DIGEST_LENGTH, settings_digest
from bertslim.store.staging import explained_os_errors

FORMAT = 1
"""Raised when the files or what is asked of the builder change."""
PLAN, FACTS = ".engine", ".json"


@dataclass(frozen=True, slots=True)
class Identity:
    """What an engine depends on."""

    graph: str
    """Digest of the ONNX graph."""
    runtime: str
    version: str
    sm: str
    shape: Shape
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Name of its files."""
        return settings_digest(asdict(self))


def build_once(
    directory: Path | None, flavour: Flavour, graph: bytes, shape: Shape, sm: str
) -> Built:
    """Return the engine of an earlier build, or build it and keep it; see `building.build_ahead`.

    Args:
        directory: Where engines are kept; None: nowhere.
        flavour: The TensorRT to build with.
        graph: ONNX.
        shape: (batch, length).
        sm: Compute capability to build for.
    """
    if directory is None:
        return build(flavour, graph, shape, sm)
    digest = hashlib.sha256(graph).hexdigest()[:DIGEST_LENGTH]
    identity = Identity(digest, flavour.runtime, flavour.version, sm, shape)
    return kept(directory, identity, lambda: build(flavour, graph, shape, sm))


def kept(directory: Path, identity: Identity, make: Callable[[], Built]) -> Built:
    """Return what is in the directory; make it and put it there if it is not, or not whole."""
    with explained_os_errors(directory):
        found = read(directory, identity)
        if found is not None:
            detail(f"{directory / identity.key}{PLAN} was built before")
            return found
        directory.mkdir(parents=True, exist_ok=True)
    built = make()
    with explained_os_errors(directory):
        write(directory, identity, built)
    return built


def read(directory: Path, identity: Identity) -> Built | None:
    """Return an engine; None if it is not there, or its plan is not the one that was described."""
    plan, facts = (directory / f"{identity.key}{end}" for end in (PLAN, FACTS))
    if not (plan.is_file() and facts.is_file()):
        return None
    content = plan.read_bytes()
    try:
        record = json.loads(facts.read_text(encoding="utf-8"))
        if record["plan_sha256"] != hashlib.sha256(content).hexdigest():
            return None
        described = record["built"]
        warnings = tuple(described.pop("warnings"))
        return Built(plan=content, warnings=warnings, **described)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write(directory: Path, identity: Identity, built: Built) -> None:
    """Keep an engine: each file whole or not at all, the description last."""
    described = asdict(built)
    plan = described.pop("plan")
    record = {
        "engine": asdict(identity),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "plan_bytes": len(plan),
        "built": described,
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    _put(directory / f"{identity.key}{PLAN}", plan)
    _put(directory / f"{identity.key}{FACTS}", text.encode())


def _put(file: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as growing:
        try:
            growing.write(content)
            growing.flush()
            os.fsync(growing.fileno())
        except BaseException:
            Path(growing.name).unlink()
            raise
    Path(growing.name).replace(file)
