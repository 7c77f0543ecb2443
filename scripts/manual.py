"""Write docs/manual.md: the commands' own --help pages, which the tests hold it to."""

import os
import subprocess
import sys
from pathlib import Path

MANUAL = Path(__file__).parent.parent / "docs" / "manual.md"
HEAD = """\
# Manual

Every page below is what `bertslim COMMAND --help` prints; `make docs` writes them again.
"""
PLAIN = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}


def help_page(*words: str) -> str:
    """Return what `bertslim WORDS --help` prints on a plain terminal of 80 columns."""
    command = [sys.executable, "-m", "bertslim", *words, "--help"]
    environment = {**os.environ, **PLAIN}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def manual() -> str:
    """Return the whole manual."""
    from bertslim.cli import app

    names = sorted(command.name for command in app.registered_commands if command.name)
    pages = [("bertslim", help_page())] + [(f"bertslim {n}", help_page(n)) for n in names]
    return HEAD + "".join(f"\n## {title}\n\n```text\n{page}\n```\n" for title, page in pages)


if __name__ == "__main__":
    MANUAL.write_text(manual(), encoding="utf-8")
