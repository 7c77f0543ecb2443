"""The runtime's own view of a graph: which kernels it runs, and what went into each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bertslim.store.deployment import Fusion, FusionCount


@dataclass(frozen=True, slots=True)
class Kernel:
    """One thing that a runtime executes."""

    name: str
    kind: str
    """The runtime's own word for it (`FullyConnected`, `_gemm_mha_v2`)."""
    precision: str
    """What it computes in: `fp32`, `fp16`, `bf16` or `int8`."""
    nodes: tuple[str, ...]
    """Names of the graph's nodes that it stands for."""
    milliseconds: float | None = None
    """Mean time of a run, where the runtime tells."""


def count_fusions(fusions: Iterable[Fusion], kernels: Sequence[Kernel]) -> tuple[FusionCount, ...]:
    """Count, kind by kind, the places whose nodes all ended up in one kernel."""
    ordered = sorted(fusions, key=lambda fusion: fusion.kind)
    return tuple(
        _count(kind, list(places), kernels)
        for kind, places in groupby(ordered, key=lambda fusion: fusion.kind)
    )


def _count(kind: str, places: Sequence[Fusion], kernels: Sequence[Kernel]) -> FusionCount:
    refused = {f.place: reason for f in places if (reason := _refusal(f, kernels))}
    return FusionCount(kind, len(places) - len(refused), len(places), refused)


def _refusal(fusion: Fusion, kernels: Sequence[Kernel]) -> str:
    """Why a fusion did not happen; empty if it did."""
    if fusion.refusal:
        return fusion.refusal
    wanted = set(fusion.nodes)
    sharing = [kernel for kernel in kernels if wanted & set(kernel.nodes)]
    whole = [kernel for kernel in sharing if wanted <= set(kernel.nodes)]
    # a single node is one kernel if no other kernel does a part of it, as those of a loop do
    if whole and (len(wanted) > 1 or len(sharing) == 1):
        return ""
    kinds = Counter(kernel.kind for kernel in sharing)
    if not kinds:
        return "the runtime does not name its nodes"
    return f"it runs as {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}"


def count_int8(gemms: Mapping[str, str], kernels: Sequence[Kernel]) -> FusionCount:
    """Count the products with weights that really compute in int8.

    Args:
        gemms: By the path of a linear layer, the graph's node that multiplies with its weights.
        kernels: What the runtime executes.
    """
    runs_in = {node: kernel for kernel in kernels for node in kernel.nodes}
    refused = {}
    for path, node in gemms.items():
        kernel = runs_in.get(node)
        if kernel is None:
            refused[path] = "the runtime does not name its node"
        elif kernel.precision != "int8":
            refused[path] = f"it runs as {kernel.kind} in {kernel.precision}"
    return FusionCount("int8 GEMM", len(gemms) - len(refused), len(gemms), refused)
