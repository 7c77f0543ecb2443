"""Steps that scripts take: bertslim's own commands, which do nothing that is done already."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertslim.cli import main as bertslim


def printed(words: Sequence[str]) -> str:
    """Run a command and return what it printed; its failure is the script's."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = bertslim([*words])
    if code:
        raise SystemExit(code)
    return out.getvalue()


def report_of(words: Sequence[str], place: Path) -> dict[str, Any]:
    """Let a command make a directory, or find it made; return its report."""
    printed([*words, "--output", str(place)])
    record = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = record["report"]
    return found
