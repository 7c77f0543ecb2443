"""What others take of the processors, from what the kernel counts."""

from pathlib import Path

import pytest

from bertslim.runtime import load
from bertslim.runtime.load import busy_cpus, crowded, work_between

BEFORE = """cpu  200 0 20 300 0 0 0 0 0 0
cpu0 100 0 10 100 0 0 0 0 50 0
cpu1 100 0 10 200 0 0 0 0 0 0
intr 12345 0 0
"""
AFTER = """cpu  240 5 30 355 5 0 5 5 0 0
cpu0 130 0 10 110 0 0 0 0 80 0
cpu1 100 0 10 230 10 0 0 0 0 0
intr 12399 0 0
"""


def test_busy_is_what_is_neither_idle_nor_waiting() -> None:
    # cpu0 worked for 30 of 40 ticks, cpu1 for none of 40
    assert work_between(BEFORE, AFTER, (0,)) == 0.75
    assert work_between(BEFORE, AFTER, (1,)) == 0.0
    assert work_between(BEFORE, AFTER, (0, 1)) == 0.75


def test_a_kernel_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert work_between("", "", (0,)) is None
    assert work_between(BEFORE, AFTER, (7,)) is None
    assert work_between(BEFORE, BEFORE, (0,)) == 0.0
    monkeypatch.setattr(load, "STAT", tmp_path / "none")
    assert busy_cpus(seconds=0) is None


@pytest.mark.parametrize(
    ("busy", "wanted", "cpus", "expected"),
    [
        (None, 2, 2, False),
        (0.1, 2, 2, False),
        (0.3, 2, 2, True),
        # there is room for both
        (1.0, 2, 4, False),
        (2.3, 2, 4, True),
        # a little of a large machine
        (3.0, 64, 64, False),
    ],
)
def test_company_is_a_crowd_where_there_is_no_room(
    busy: float | None, wanted: float, cpus: int, expected: bool
) -> None:
    assert crowded(busy, wanted, cpus) is expected
