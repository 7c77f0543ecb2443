"""Collects what is wrong with data files, so that all of it is reported at once."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bertslim.errors import DataError, fault_list

SHOWN = 10
"""Faults, and places of each, that are named; the others are counted."""


class RowFaultError(Exception):
    """What is wrong with one row; the place is added by whoever knows it."""


class FaultLog:
    """What is wrong, once for each file, with the first places and the number of all."""

    def __init__(self) -> None:
        self.count = 0
        self._places: dict[tuple[Path, str], list[int | str | None]] = {}
        self._counts = Counter[tuple[Path, str]]()
        self._hints: dict[str, None] = {}

    def add(self, path: Path, place: int | str | None, text: str, hint: str = "") -> None:
        """Note a fault.

        Args:
            path: the data file, or the hub data set's name as a path.
            place: line (or row) number, a description, or None for the whole file.
            text: what is wrong; what is wrong at many places is told once.
            hint: how to cure it; equal hints are given once.
        """
        self.count += 1
        fault = (path, text)
        if fault in self._places or len(self._places) < SHOWN:
            places = self._places.setdefault(fault, [])
            self._counts[fault] += 1
            if len(places) < SHOWN:
                places.append(place)
        if hint:
            self._hints[hint] = None

    def raise_if_any(self, title: str) -> None:
        """Raise all that was noted.

        Raises:
            DataError: naming files and lines of the first faults, and how many there are.
        """
        if not self.count:
            return
        faults = [
            f"{_located(path, places, self._counts[path, text])}: {text}"
            for (path, text), places in self._places.items()
        ]
        if more := self.count - self._counts.total():
            faults.append(f"and {more} more")
        raise DataError(fault_list(title, faults), "; ".join(self._hints))


def _located(path: Path, places: Sequence[int | str | None], count: int) -> str:
    shown = os.path.normpath(path)
    if places[0] is None:
        return shown
    mark = ":" if isinstance(places[0], int) else ", "
    more = f" and {count - len(places)} more" if count > len(places) else ""
    return f"{shown}{mark}{', '.join(map(str, places))}{more}"
