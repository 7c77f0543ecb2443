"""Which CPUs this process runs on: times of one set say nothing of another."""

import os
import re
from collections.abc import Collection

from bertslim.errors import SettingsError, UnavailableError

PART = re.compile(r"(\d+)(?:-(\d+))?")
"""A CPU, or the first and the last of several."""


def usable_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def keep_to(cpus: Collection[int]) -> None:
    """Let this process, and all that it starts from now on, run on some CPUs alone.

    Raises:
        SettingsError: If it may not run on one of them.
        UnavailableError: If this system does not let a process choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise UnavailableError("--cpus: this system does not let a process choose", "leave it out")
    usable = usable_cpus()
    if strange := sorted(set(cpus) - set(usable)):
        raise SettingsError(
            f"--cpus {','.join(map(str, strange))}: not among those that this process may run on",
            f"these are {','.join(map(str, usable))}",
        )
    os.sched_setaffinity(0, cpus)


def cpu_list(text: str) -> tuple[int, ...]:
    """Read numbers and ranges between commas, as taskset does: "0-3,8".

    Raises:
        SettingsError: If it is something else.
    """
    matches = [PART.fullmatch(part.strip()) for part in text.split(",")]
    found = [int(m[1]) for m in matches if m], [int(m[2] or m[1]) for m in matches if m]
    ranges = [range(first, last + 1) for first, last in zip(*found, strict=True)]
    if not all(matches) or not all(ranges):
        raise SettingsError(f"--cpus {text} is no list of CPUs", "such as 0-3,8")
    return tuple(sorted({cpu for numbers in ranges for cpu in numbers}))
