"""`deploy.json`: what the graph beside it is, for which runtime, and what became of every part."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from bertslim.errors import CheckpointError

GRAPH = "model.onnx"
DEPLOYMENT = "deploy.json"
FORMAT = 1
AGAIN = "make the directory again, with fuse or quantize"

Target = Literal["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A place where several operations should run as one kernel."""

    kind: str
    """What is fused: `attention`, `QKV`, ..."""
    place: str
    """Path of the module."""
    nodes: tuple[str, ...]
    """The graph's nodes that should share a kernel."""
    refusal: str = ""
    """Why it was not even written; empty if it was."""


@dataclass(frozen=True, slots=True)
class FusionCount:
    """What became of one kind of fusion."""

    kind: str
    happened: int
    expected: int
    refused: Mapping[str, str] = field(default_factory=dict)
    """By place, why it did not happen."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `deploy.json` holds."""

    target: Target
    precision: Precision
    fusions: tuple[FusionCount, ...]
    """By the runtime's own view of the graph."""
    difference: float
    """Largest absolute difference of an output from PyTorch fp32."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Of the precision: ranges, scales, islands, exceptions and their reasons, evidence."""
    format: int = FORMAT


def write_deployment(directory: Path, deployment: Deployment) -> None:
    """Write the description beside the graph."""
    text = json.dumps(asdict(deployment), indent=1, ensure_ascii=False, allow_nan=False)
    (directory / DEPLOYMENT).write_text(text + "\n", encoding="utf-8")


def read_deployment(directory: Path) -> Deployment | None:
    """Return what the directory's graph is; None where there is no deployable graph.

    Raises:
        CheckpointError: If the description is not readable, comes from a newer bertslim, or stands
            without its graph.
    """
    file = directory / DEPLOYMENT
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        _refuse_newer(file, record)
        fusions = tuple(FusionCount(**count) for count in record.pop("fusions"))
        deployment = Deployment(fusions=fusions, **record)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{file} cannot be read ({error})", AGAIN) from error
    if deployment.target not in get_args(Target) or deployment.precision not in get_args(Precision):
        raise CheckpointError(
            f"{file} is for {deployment.target} in {deployment.precision}, which bertslim does not "
            "know",
            AGAIN,
        )
    if not (directory / GRAPH).is_file():
        raise CheckpointError(f"{file} describes {GRAPH}, which is missing", AGAIN)
    return deployment


def _refuse_newer(file: Path, record: Mapping[str, Any]) -> None:
    """Look at the format first: a newer one may have fields that are unknown here."""
    if record["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {record['format']}, this bertslim reads up to {FORMAT}",
            "update bertslim",
        )
