"""Collects what is wrong with data files, so that all of it is reported at once."""

import os
from pathlib import Path

from bertslim.errors import DataError, fault_list

SHOWN = 10
"""Faults named in full; the others are counted."""


class RowFaultError(Exception):
    """What is wrong with one row; the place is added by whoever knows it."""


class FaultLog:
    """The first faults in full and the number of all."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []
        self.hints: dict[str, None] = {}

    def add(self, path: Path, place: int | str | None, text: str, hint: str = "") -> None:
        """Note a fault.

        Args:
            path: the data file, or the hub data set's name as a path.
            place: line (or row) number, a description, or None for the whole file.
            text: what is wrong.
            hint: how to cure it; equal hints are given once.
        """
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{_located(path, place)}: {text}")
        if hint:
            self.hints[hint] = None

    def raise_if_any(self, title: str) -> None:
        """Raise all that was noted.

        Raises:
            DataError: naming file and line of the first faults, and how many there are.
        """
        if not self.count:
            return
        more = self.count - len(self.first)
        faults = [*self.first, f"and {more} more"] if more else self.first
        raise DataError(fault_list(title, faults), "; ".join(self.hints))


def _located(path: Path, place: int | str | None) -> str:
    shown = os.path.normpath(path)
    if place is None:
        return shown
    return f"{shown}:{place}" if isinstance(place, int) else f"{shown}, {place}"
