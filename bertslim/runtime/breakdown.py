"""Where an engine's time goes: the runtime's own kernels, summed up by what they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bertslim.runtime.kernels import Kernel
from bertslim.runtime.shape import Shape

GROUPS: Mapping[str, frozenset[str]] = {
    "attention": frozenset({"scores", "softmax", "context", "attention"}),
    "GEMM": frozenset({"matmul"}),
    "norm": frozenset({"norm", "residual"}),
}
"""By the last part of a node's name; a kernel that several nodes went into is of the first group
that one of them is of."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the time of one engine goes at one shape."""

    checkpoint: str
    runtime: str
    precision: str
    shape: Shape
    """Of the batch that was run; of a task's rows it is the first."""
    milliseconds: Mapping[str, float]
    """By group: products with weights (`GEMM`), `attention`, `norm` and `other`."""


def times_by_group(kernels: Sequence[Kernel]) -> dict[str, float]:
    """Sum up the times of kernels; empty where the runtime tells none."""
    if all(kernel.milliseconds is None for kernel in kernels):
        return {}
    times = dict.fromkeys(("GEMM", "attention", "norm", OTHER), 0.0)
    for kernel in kernels:
        times[group_of(kernel)] += kernel.milliseconds or 0.0
    return times


def group_of(kernel: Kernel) -> str:
    """Say what a kernel does."""
    steps = {node.rpartition("/")[2] for node in kernel.nodes}
    return next((group for group, known in GROUPS.items() if steps & known), OTHER)
