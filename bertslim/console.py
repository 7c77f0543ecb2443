"""What people see: messages and progress on stderr, and a stdout kept for the result alone."""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
Description = str | Callable[[], str]
"""What a progress bar says; a callable is asked again at each refresh (a running loss, say)."""

SECONDS_BETWEEN_LINES = 15.0
"""How often long work reports when stderr is a file or a CI log."""


class Verbosity(IntEnum):
    """How much is said on stderr; errors are always shown."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


verbosity: ContextVar[Verbosity] = ContextVar("verbosity", default=Verbosity.NORMAL)


def error_console() -> "Console":
    """Return a console on today's stderr (looked up late, since tests and pipes replace it)."""
    from rich.console import Console

    return Console(file=sys.stderr, soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """Say something useful on stderr, unless -q was given."""
    if verbosity.get() >= Verbosity.NORMAL:
        error_console().print(text, markup=False)


def detail(text: str) -> None:
    """Say something on stderr that only -v asks for."""
    if verbosity.get() >= Verbosity.VERBOSE:
        error_console().print(text, style="dim", markup=False)


def warn(text: str) -> None:
    """Point at something that looks wrong but does not stop the work."""
    if verbosity.get() >= Verbosity.NORMAL:
        error_console().print(f"warning: {text}", style="yellow", markup=False)


def counted(number: int, name: str) -> str:
    """Say how many there are of a thing."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def track(items: Iterable[T], description: Description, total: int | None = None) -> Iterator[T]:
    """Yield the items while showing how far they have come.

    A bar when stderr is a terminal; otherwise a plain line every 15 seconds, so that short work
    leaves a CI log alone.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if verbosity.get() == Verbosity.QUIET:
        return iter(items)
    if error_console().is_terminal:
        return _track_with_bar(items, description, total)
    return _track_with_lines(items, description, total)


def _text(description: Description) -> str:
    return description if isinstance(description, str) else description()


def _track_with_bar(items: Iterable[T], description: Description, total: int | None) -> Iterator[T]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=error_console(), transient=True
    ) as progress:
        bar = progress.add_task(_text(description), total=total)
        for item in items:
            yield item
            progress.update(bar, advance=1, description=_text(description))


def _track_with_lines(
    items: Iterable[T], description: Description, total: int | None
) -> Iterator[T]:
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(f"{_text(description)}: {done}/{total if total is not None else '?'}")


@contextlib.contextmanager
def reserved_stdout() -> Iterator[None]:
    """Keep descriptor 1 for the result; whatever else writes to it, C++ too, goes to stderr."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        # C libraries keep what they print in a buffer of their own, to be written at exit.
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)
