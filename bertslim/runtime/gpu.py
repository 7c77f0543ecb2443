"""Engines for a GPU: what was built, for one that is elsewhere or the one that is here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from bertslim.runtime.engine import Engine, EngineSettings
from bertslim.runtime.plan import Cell
from bertslim.runtime.rows import GpuEngine
from bertslim.runtime.shape import Shape
from bertslim.runtime.tensorrt.building import Built
from bertslim.runtime.tensorrt.cache import build_once
from bertslim.runtime.tensorrt.engine import OLDEST_TARGETS, TensorRtEngine, notes_on
from bertslim.runtime.tensorrt.findings import findings
from bertslim.runtime.tensorrt.flavours import load_flavour
from bertslim.runtime.tensorrt.refusals import no_device
from bertslim.runtime.workload import Workload

Sizes = tuple[int, int]
"""(batch, length)."""


def build_elsewhere(
    cell: Cell, graph: bytes, sizes: Mapping[Shape, Sizes], settings: EngineSettings
) -> dict[Shape, GpuEngine]:
    """Build engines that this machine cannot run, one for each shape.

    They are built for `settings.sm`, or the GPU that the graph was deployed for, or the oldest that
    the precision can be built for.

    Raises:
        UnavailableError: If TensorRT is missing, needs a GPU to build, or refuses the graph.
        SettingsError: If nothing is built for such a GPU.
    """
    flavour = load_flavour(cell.runtime)
    if not flavour.builds_for_others:
        raise no_device(flavour)
    sm = settings.sm or cell.sm or OLDEST_TARGETS[cell.precision]
    return {
        shape: described(
            build_once(settings.engines, flavour, graph, size, sm), sm, cell.precision, graph
        )
        for shape, size in sizes.items()
    }


def described(built: Built, sm: str, precision: str, graph: bytes) -> GpuEngine:
    """Say what is known of an engine that was built."""
    parts = (built.weights_bytes, built.activation_bytes)
    known = [size for size in parts if size is not None]
    layers = built.layers
    return GpuEngine(
        sm=sm,
        engine_bytes=len(built.plan),
        device_bytes=sum(known) if len(known) == len(parts) else None,
        layers=len(layers),
        seconds=built.seconds,
        notes=(*notes_on(sm, precision), *_differences(graph, built)),
    )


def described_here(engine: Engine, workloads: Mapping[Shape, Workload]) -> dict[Shape, GpuEngine]:
    """Say what is known of the engines that are on the GPU, each by its longest batch."""
    if not isinstance(engine, TensorRtEngine):
        return {}
    return {shape: _on_device(engine, work.sizes[0]) for shape, work in workloads.items()}


def _on_device(engine: TensorRtEngine, size: Sizes) -> GpuEngine:
    sm, facts = engine.device.sm, engine.facts(size)
    known = described(engine.built[size], sm, engine.precision, engine.workshop.graph)
    graph = "a CUDA graph" if facts["cuda_graph"] else f"no CUDA graph: {facts['not_captured']}"
    device = f"{engine.device.name} (SM{sm}), {graph}"
    return replace(known, facts=facts, notes=(device, *known.notes))


def _differences(graph: bytes, built: Built) -> Iterator[str]:
    """What the builder did otherwise than the graph asks for: each kind, with its places."""
    found = sorted(findings(graph, built.layers), key=lambda finding: finding.kind)
    for kind, of_kind in groupby(found, key=lambda finding: finding.kind):
        places = list(dict.fromkeys(finding.place for finding in of_kind))
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"{kind}: {places[0]}{more}"
