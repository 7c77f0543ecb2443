"""The machine that times were taken on; a time without it says nothing."""

import contextlib
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""The CPU flags that decide which kernels a BERT runs on."""
PACKAGES = ("bertslim", "torch", "transformers", "onnx", "onnxruntime", "openvino", "numpy")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the times depend on besides the model."""

    cpu: str
    cores: int
    """CPUs that this process may use."""
    flags: tuple[str, ...]
    system: str
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    info = cpu_info(CPUINFO.read_text()) if CPUINFO.exists() else {}
    present = info.get("flags", "").split()
    return Machine(
        cpu=info.get("model name") or platform.processor() or platform.machine(),
        cores=available_cores(),
        flags=tuple(flag for flag in FLAGS if flag in present),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=installed_versions(),
    )


def available_cores() -> int:
    """Count the CPUs that this process may run on; containers often allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_info(text: str) -> dict[str, str]:
    """Read the fields of the first processor in the text of /proc/cpuinfo."""
    first = text.strip().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def installed_versions() -> dict[str, str]:
    """Versions of the packages that take part, as far as they are installed."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
