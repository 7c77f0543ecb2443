"""Content digests: what makes two inputs the same, wherever they lie."""

import hashlib
import json
from pathlib import Path
from typing import Any

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
