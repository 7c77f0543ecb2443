"""What else keeps the processors busy when a comparison begins; times taken beside it are noise."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path

from bertslim.runtime.affinity import usable_cpus

STAT = Path("/proc/stat")
"""Where Linux counts what each CPU spends its time on."""
SAMPLE_SECONDS = 0.3
IDLE = (3, 4)
"""Places of the time that a CPU has nothing to do, or waits for a disk, in a line of the text."""
COUNTED = 8
"""What comes after these fields is counted in them already."""
TOLERATED = 0.1
"""Share of the CPUs wanted that others may take before a word is said."""


def busy_cpus(seconds: float = SAMPLE_SECONDS) -> float | None:
    """Watch for a moment, in which this process sleeps, how many CPUs' time others take.

    Returns:
        Of the CPUs that this process may run on; None where the kernel does not tell.
    """
    before = _text()
    time.sleep(seconds)
    return work_between(before, _text(), usable_cpus())


def work_between(before: str, after: str, cpus: Collection[int]) -> float | None:
    """Return how many of some CPUs were busy between two texts of /proc/stat."""
    first, last = _times(before), _times(after)
    shares = [_share(first[cpu], last[cpu]) for cpu in cpus if cpu in first and cpu in last]
    return sum(shares) if shares else None


def crowded(busy: float | None, wanted: float, cpus: int) -> bool:
    """Whether the CPUs that others leave free are fewer than those wanted."""
    return busy is not None and busy > cpus - (1 - TOLERATED) * wanted


def _text() -> str:
    return STAT.read_text() if STAT.exists() else ""


def _times(text: str) -> Mapping[int, list[int]]:
    """Read each CPU's times, in the kernel's own unit."""
    lines = (line.split() for line in text.splitlines())
    return {
        int(name.removeprefix("cpu")): [int(field) for field in fields[:COUNTED]]
        for name, *fields in lines
        if name.startswith("cpu") and name != "cpu"
    }


def _share(before: list[int], after: list[int]) -> float:
    spent = [b - a for a, b in zip(before, after, strict=True)]
    idle = sum(spent[place] for place in IDLE)
    return 1 - idle / sum(spent) if sum(spent) else 0.0
