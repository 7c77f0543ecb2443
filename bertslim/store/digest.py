"""Content digests: what makes two inputs the same, wherever they lie."""

import hashlib
import json
from pathlib import Path
from typing import Any

PROVENANCE = "provenance.json"
DIGEST_LENGTH = 32
"""Hexadecimal digits kept of a SHA-256: 128 bits, enough and still readable."""


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]


def settings_digest(settings: Any) -> str:
    """Return the digest of JSON-able settings; key order does not matter."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def checkpoint_digest(directory: Path) -> str:
    """Return the digest of everything in a checkpoint that determines what a step makes of it.

    `provenance.json` is left out: the same model made twice, at another time or place, is the same
    input. So are hidden files and subdirectories, which no step reads.
    """
    files = sorted(
        path
        for path in directory.iterdir()
        if path.is_file() and path.name != PROVENANCE and not path.name.startswith(".")
    )
    return settings_digest({path.name: file_digest(path) for path in files})
