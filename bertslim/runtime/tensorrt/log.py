"""TensorRT's log, kept: the reasons for failures and the list of layers are only there."""

from collections import deque
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bertslim.runtime.tensorrt import api

RECENT = 20
"""Lines that are kept while nobody listens."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message."""

    severity: str
    """TensorRT's word: `ERROR`, `WARNING`, `VERBOSE`."""
    text: str


class Log:
    """The one logger of a process.

    TensorRT takes the first that it is given for as long as any of its objects lives, and ignores
    others; so there is one, and what it hears goes to whoever listens.
    """

    def __init__(self, module: api.Module) -> None:
        self.recent: deque[Line] = deque(maxlen=RECENT)
        """What was said last while nobody listened."""
        self._lines: MutableSequence[Line] = self.recent
        self.logger: Any = type("Logger", (module.ILogger,), {"log": self._hear})()

    @contextmanager
    def listening(self) -> Iterator[list[Line]]:
        """Give what is logged from now on; it fills up while the caller works."""
        heard: list[Line] = []
        before, self._lines = self._lines, heard
        try:
            yield heard
        finally:
            self._lines = before

    def _hear(self, severity: api.Severity, text: str) -> None:
        self._lines.append(Line(severity.name, text))
