"""Ctrl-C and SIGTERM finish the step under way instead of cutting it in two."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ECHO_SECONDS = 1.0
"""One Ctrl-C can arrive twice, from the terminal and from torchrun; a later one is meant."""


class StopRequest:
    """Remembers that the user or the system wants the run to stop."""

    def __init__(self) -> None:
        self.since: float | None = None

    @property
    def made(self) -> bool:
        """Whether a signal has come."""
        return self.since is not None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal; a second Ctrl-C stops at once."""
        if self.since is None:
            self.since = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self.since > ECHO_SECONDS:
            raise KeyboardInterrupt


@contextmanager
def postponed_interruption() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request that the work reads when it suits.

    Signals can only be handled in the main thread; elsewhere no request ever comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, request.receive) for number in signals]
    try:
        yield request
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
