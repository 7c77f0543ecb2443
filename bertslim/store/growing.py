"""A list that grows on disk, entry by entry, and is whole whenever the process ends."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_SYNCS = 5.0
"""What a power cut may cost; a killed process costs the entry that it was writing."""


class GrowingList:
    """JSON-able entries, one a line, never all in memory; what was not finished is dropped."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._count = cut_to_whole_lines(path)
        self._file = path.open("ab")
        self._synced = time.monotonic()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Yield the entries in their order."""
        with self._path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def append(self, entry: Any) -> None:
        """Add an entry, which the system has when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        self._count += 1
        if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def cut_to_whole_lines(path: Path) -> int:
    """Cut off what follows the last whole entry; return how many there are."""
    path.touch()
    count, size = 0, 0
    with path.open("rb") as file:
        for line in file:
            if not _is_whole(line):
                break
            count, size = count + 1, size + len(line)
    os.truncate(path, size)
    return count


def _is_whole(line: bytes) -> bool:
    """A cut line has no end; after a power cut a line can hold anything."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
