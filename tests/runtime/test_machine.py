"""The machine is described from what the kernel says."""

from pathlib import Path

import numpy
import pytest

from bertslim.runtime import machine as machines
from bertslim.runtime.machine import (
    available_cores,
    cpu_quota,
    int8_advice,
    physical_cores,
    processors,
    this_machine,
)

TWO_PROCESSORS = "processor\t: 0\nmodel name\t: Fast\nflags\t\t: avx2 amx_int8\n\nprocessor\t: 1\n"


def cpuinfo(*places: tuple[int, int]) -> str:
    """The text for CPUs at these (physical id, core id)."""
    return "\n\n".join(
        f"processor\t: {cpu}\nphysical id\t: {socket}\ncore id\t\t: {core}"
        for cpu, (socket, core) in enumerate(places)
    )


# two sockets of two cores of two threads; the second threads come last, as Linux counts
THREADED = cpuinfo(*[(socket, core) for socket in (0, 1) for core in (0, 1)] * 2)


def test_fields_of_every_processor() -> None:
    assert processors(TWO_PROCESSORS) == [
        {"processor": "0", "model name": "Fast", "flags": "avx2 amx_int8"},
        {"processor": "1"},
    ]


@pytest.mark.parametrize(
    ("cpus", "cores"), [(range(8), 4), ({0, 4}, 1), ({0, 1, 4}, 2), ({0, 2}, 2), ({7}, 1)]
)
def test_threads_of_one_core_count_once(cpus: set[int], cores: int) -> None:
    assert physical_cores(THREADED, cpus) == cores


@pytest.mark.parametrize("text", ["", TWO_PROCESSORS])
def test_where_no_cores_are_told_every_cpu_is_one(text: str) -> None:
    assert physical_cores(text, {0, 1, 5}) == 3


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("max 100000\n", None),
        ("", None),
    ],
)
def test_a_quota_is_rounded_up(text: str, cpus: int | None) -> None:
    assert cpu_quota(text) == cpus


@pytest.mark.parametrize(
    ("quota", "cpus", "cores"),
    [
        ("max 100000", range(8), 4),
        ("200000 100000", range(8), 2),
        ("900000 100000", range(8), 4),
        ("200000 100000", {0, 4}, 1),
        (None, {0, 1}, 2),
    ],
)
def test_cores_are_bounded_by_pinning_and_quota(
    quota: str | None,
    cpus: set[int],
    cores: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cpuinfo").write_text(THREADED)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machines, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machines, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(machines, "usable_cpus", lambda: tuple(cpus))
    assert available_cores() == cores


def test_this_machine_has_a_name_cores_and_versions() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.cores == available_cores() >= 1
    assert machine.cores <= len(machine.cpus)
    assert machine.cpus_per_core >= 1
    assert machine.busy is None or 0 <= machine.busy <= len(machine.cpus)
    assert machine.versions["numpy"] == numpy.__version__


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("processor\t: 0\nflags\t\t: avx2 avx512f\n", True),
        ("processor\t: 0\nflags\t\t: avx2 avx512f avx512_vnni\n", False),
        ("processor\t: 0\nflags\t\t: avx2 avx_vnni\n", False),
        ("processor\t: 0\nflags\t\t: amx_int8\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", False),
        ("", False),
    ],
)
def test_int8_is_warned_of_where_an_x86_cpu_lacks_the_instructions(
    text: str, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machines, "CPUINFO", tmp_path / "cpuinfo")
    assert ("neither VNNI nor AMX" in int8_advice()) == warned
