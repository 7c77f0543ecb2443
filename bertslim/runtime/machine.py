"""The machine that times were taken on; a time without it says nothing."""

import contextlib
import importlib.metadata
import math
import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bertslim.runtime.affinity import usable_cpus
from bertslim.runtime.load import busy_cpus, crowded

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""The CPU flags that decide which kernels a BERT runs on."""
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}
"""Any of them multiplies four pairs of int8 and adds them up in 32 bits at once."""
PACKAGES = ("bertslim", "torch", "transformers", "onnx", "onnxruntime", "openvino", "numpy")
DISTRIBUTIONS = {
    **{name: (name,) for name in PACKAGES},
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
}
"""What takes part, by the names that pip may know it by."""
CPUINFO = Path("/proc/cpuinfo")
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""The quota of a container, as version 2 of control groups tells it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the times depend on besides the model."""

    cpu: str
    cores: int
    """Physical cores that this process may keep busy."""
    cpus: tuple[int, ...]
    """CPUs that it may run on."""
    cpus_per_core: float
    """2 where each core runs two threads."""
    busy: float | None
    """How many of these CPUs others kept busy just before; None where the kernel does not tell."""
    flags: tuple[str, ...]
    system: str
    python: str
    versions: dict[str, str]

    def is_crowded(self, threads: int) -> bool:
        """Whether others kept busy what so many threads, a core each, are going to need."""
        return crowded(self.busy, threads * self.cpus_per_core, len(self.cpus))


def this_machine() -> Machine:
    """Describe the machine that this process runs on, as it is before there is work to do."""
    info = next(iter(processors(_text(CPUINFO))), {})
    cpus = usable_cpus()
    return Machine(
        cpu=info.get("model name") or platform.processor() or platform.machine(),
        cores=available_cores(),
        cpus=cpus,
        cpus_per_core=len(cpus) / physical_cores(_text(CPUINFO), cpus),
        busy=busy_cpus(),
        flags=cpu_flags(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=installed_versions(),
    )


def cpu_flags() -> tuple[str, ...]:
    """Return which of `FLAGS` the CPU has."""
    info = next(iter(processors(_text(CPUINFO))), {})
    present = info.get("flags", "").split()
    return tuple(flag for flag in FLAGS if flag in present)


def int8_advice() -> str:
    """Say what to expect of int8 on an x86 CPU that was not made for it; empty on all others."""
    flags = next(iter(processors(_text(CPUINFO))), {}).get("flags", "").split()
    if not flags or INT8_FLAGS.intersection(flags):
        return ""
    return (
        "this CPU has neither VNNI nor AMX: int8 is hardly faster than fp32 here, and where it sums"
        " in 16 bits, which can overflow, less accurate than on CPUs that have them"
    )


def available_cores() -> int:
    """Count the physical cores that this process may keep busy, which its threads are best of.

    That is fewer than the machine has where it is pinned to some CPUs, or a container's quota
    allows less time than they have.
    """
    cores = physical_cores(_text(CPUINFO), usable_cpus())
    return min(cores, cpu_quota(_text(CPU_MAX)) or cores)


def physical_cores(text: str, cpus: Collection[int]) -> int:
    """Count the cores whose threads these CPUs are, from the text of /proc/cpuinfo.

    A CPU counts as a core of its own where the text does not tell (ARM, some virtual machines).
    """
    cores = {
        int(info["processor"]): (info["physical id"], info["core id"])
        for info in processors(text)
        if info.keys() >= {"processor", "physical id", "core id"}
    }
    return len({cores.get(cpu, cpu) for cpu in cpus})


def cpu_quota(text: str) -> int | None:
    """Read how many CPUs' time cpu.max allows, rounded up: "quota period"; None without a quota."""
    quota, _, period = text.strip().partition(" ")
    return math.ceil(int(quota) / int(period)) if quota.isdecimal() else None


def processors(text: str) -> list[dict[str, str]]:
    """Read the fields of every processor in the text of /proc/cpuinfo."""
    blocks = (block.splitlines() for block in text.strip().split("\n\n"))
    pairs = ([line.partition(":") for line in block] for block in blocks)
    return [{key.strip(): value.strip() for key, _, value in block} for block in pairs]


def installed_versions() -> dict[str, str]:
    """Versions of the packages that take part, as far as they are installed."""
    versions = {}
    for name, distributions in DISTRIBUTIONS.items():
        for distribution in reversed(distributions):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[name] = importlib.metadata.version(distribution)
    return versions


def _text(path: Path) -> str:
    """What a file of the kernel's says; nothing where there is no such file."""
    return path.read_text() if path.exists() else ""
