"""What long work has found so far, kept on disk entry by entry, so that it can go on."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

from bertslim.console import note
from bertslim.errors import QualityError, SettingsError
from bertslim.store.growing import cut_to_whole_lines

JOURNAL = "journal.jsonl"

T = TypeVar("T")

Findings = MutableMapping[str, Any]
"""JSON-able results by name: a journal, or a plain dict where nothing has to outlive the run."""


def remembered(findings: Findings, name: str, find: Callable[[], T]) -> T:
    """Return what is known by that name; find it, and keep it, if it is not known yet."""
    if name not in findings:
        findings[name] = find()
    found: T = findings[name]
    return found


class Journal(MutableMapping[str, Any]):
    """A dictionary whose entries are on disk before they count.

    One line of JSON for each; a line that a killed process left unfinished is dropped. What is
    read back equals what was written: JSON keeps floats exactly, and makes lists of tuples.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL
        self._entries = dict(self._whole_lines())

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __setitem__(self, name: str, value: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._entries[name] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError("what was found stays found")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _whole_lines(self) -> Iterator[tuple[str, Any]]:
        """Read the entries, and cut off what follows the last whole one."""
        cut_to_whole_lines(self._path)
        for line in self._path.read_text(encoding="utf-8").splitlines():
            name, value = json.loads(line)
            yield name, value


@contextlib.contextmanager
def opened_journal(folder: Path) -> Iterator[Journal]:
    """Keep a journal in a folder, which outlives an interruption and a full disk.

    What is done needs it no more, and what asks for too much would fail again.
    """
    journal = Journal(folder)
    if journal:
        note(f"going on with {len(journal)} results of the run that was interrupted")
    try:
        yield journal
    except (SettingsError, QualityError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
