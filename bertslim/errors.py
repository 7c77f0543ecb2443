"""The failures that bertslim expects, each with its exit code.

* BertslimError               1   it did not work, and the message says why
  * CheckpointError           1   not a checkpoint, or a broken one
  * DataError                 1   a task file or data file that cannot be used
  * TrainingError             1   a run that diverged
  * SettingsError             2   options that contradict each other
  * QualityError              3   it worked, but a bound was missed
  * OutputExistsError         4   the output directory holds something else
  * UpstreamError             5   "-" was given and the pipe brought nothing
  * UnavailableError          6   this machine lacks what is needed

Anything else that escapes is a bug and shows its traceback.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class BertslimError(Exception):
    """An expected failure: one line for people, a hint with the cure, an exit code for scripts."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CheckpointError(BertslimError):
    """A directory that is not a checkpoint, or not a whole one."""


class DataError(BertslimError):
    """A task file or a data file that cannot be used as it is."""


class TrainingError(BertslimError):
    """A training run that cannot go on."""


class SettingsError(BertslimError):
    """Options that are impossible, alone or together."""

    exit_code = 2


class QualityError(BertslimError):
    """The work was done, and the result misses a bound that was asked for."""

    exit_code = 3


class OutputExistsError(BertslimError):
    """The output directory exists and was made by another request."""

    exit_code = 4


class UpstreamError(BertslimError):
    """The command before this one in the pipe delivered nothing."""

    exit_code = 5


class UnavailableError(BertslimError):
    """This machine lacks a device, a package or a CPU feature that was asked for."""

    exit_code = 6


def fault_list(title: str, faults: Sequence[str]) -> str:
    """Put all faults into one message: a single one on the line, several as a list."""
    if len(faults) == 1:
        return f"{title}: {faults[0]}"
    return f"{title}:\n" + "\n".join(f"  - {fault}" for fault in faults)


def given_twice(names: Iterable[str]) -> list[str]:
    """Return a fault for each name that stands there more than once."""
    return [f"{name} is given twice" for name, count in Counter(names).items() if count > 1]


def gathered(title: str, attempts: Sequence[Callable[[], T]]) -> list[T]:
    """Return what all attempts give; if several fail, the failure tells of all of them."""
    results, failures = [], []
    for attempt in attempts:
        try:
            results.append(attempt())
        except BertslimError as error:
            failures.append(error)
    if not failures:
        return results
    first, *others = failures
    if not others:
        raise first
    messages = [str(error).replace("\n", "\n  ") for error in failures]
    raise type(first)(fault_list(title, messages), first.hint) from first


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Let an expected failure say which of several things it is about."""
    try:
        yield
    except BertslimError as error:
        raise type(error)(f"{subject}: {error}", error.hint) from error
