"""TensorRT as one of the runtimes: engines of one shape each, built when a batch asks for them."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx

from bertslim.errors import UnavailableError
from bertslim.runtime.engine import Batch, EngineSettings, Outputs, Source
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.tensorrt.building import Built, Shape
from bertslim.runtime.tensorrt.cache import build_once
from bertslim.runtime.tensorrt.driver import VOLTA, Device, find_device
from bertslim.runtime.tensorrt.flavours import Flavour, load_flavour
from bertslim.runtime.tensorrt.layers import kernels_of
from bertslim.runtime.tensorrt.loop import measure
from bertslim.runtime.tensorrt.memory import Cuda, open_cuda
from bertslim.runtime.tensorrt.refusals import no_device
from bertslim.runtime.tensorrt.session import Session
from bertslim.runtime.tensorrt.shapes import cut, padded, shape_for
from bertslim.runtime.tensorrt.timing import Budget, Measurement, Switches

OLDEST_TARGETS = {"fp32": "80", "fp16": "75", "int8": "75"}
"""The oldest GPU that TensorRT-RTX builds each precision for: Ampere, Turing."""
USUAL_SHAPE = (8, 128)
UNLIMITED = 2**16
"""Tokens of a model that reads any number."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """All that engines of one model are built with."""

    flavour: Flavour
    graph: bytes
    sm: str
    directory: Path | None

    def build(self, shape: Shape) -> Built:
        """Build for one shape, or take what was built before."""
        return build_once(self.directory, self.flavour, self.graph, shape, self.sm)


@dataclass
class TensorRtEngine:
    """Engines of one model, by shape, on one GPU."""

    runtime: str
    precision: str
    device: Device
    notes: tuple[str, ...]
    """What to know about its times."""
    workshop: Workshop = field(repr=False)
    cuda: Cuda
    longest: int
    """Tokens that the model can take."""
    sessions: dict[Shape, Session] = field(default_factory=dict, repr=False)
    built: dict[Shape, Built] = field(default_factory=dict, repr=False)

    def run(self, batch: Batch) -> Outputs:
        """Compute the outputs of one padded batch."""
        rows, tokens = batch["input_ids"].shape
        shape = shape_for((rows, tokens), list(self.sessions), self.longest)
        session = self.prepare(shape)
        if shape == (rows, tokens):
            return session.run(batch)
        return cut(session.run(padded(batch, shape)), (rows, tokens))

    def measure(self, batch: Batch, switches: Switches, budget: Budget) -> Measurement:
        """Time a batch on the GPU's own clock, with an engine of exactly its shape."""
        rows, tokens = batch["input_ids"].shape
        session = self.prepare((rows, tokens))
        session.fill(batch)
        return measure(session, switches, budget)

    def prepare(self, shape: Shape) -> Session:
        """Have an engine of this shape on the GPU, as a CUDA graph where that can be done."""
        if shape not in self.sessions:
            self.built[shape] = self.workshop.build(shape)
            session = Session(self.workshop.flavour, self.cuda, self.built[shape], shape)
            session.capture()
            self.sessions[shape] = session
        return self.sessions[shape]

    def facts(self, shape: Shape) -> dict[str, Any]:
        """What the times of one shape depend on, as JSON can hold it."""
        built, session = self.built[shape], self.sessions[shape]
        return {
            "device": asdict(self.device),
            "tensorrt": self.workshop.flavour.name,
            "memory": self.cuda.name,
            "cuda_graph": session.captured,
            "not_captured": session.not_captured,
            "tf32": False,
            "engine_bytes": len(built.plan),
            "weights_bytes": built.weights_bytes,
            "activation_bytes": built.activation_bytes,
            "build_seconds": built.seconds,
            "warnings": built.warnings,
        }

    def close(self) -> None:
        """Give the memory back; the engine cannot run any more."""
        for session in self.sessions.values():
            session.close()
        self.sessions.clear()


def build(runtime: str, source: Source, precision: str, settings: EngineSettings) -> TensorRtEngine:
    """Build engines for the GPU in this machine, and put them on it.

    Raises:
        UnavailableError: If TensorRT or a GPU is missing, or `settings.sm` is another than the
            GPU's. `building.build_ahead` builds for other GPUs.
    """
    flavour, device = load_flavour(runtime), find_device()
    if settings.sm not in ("", device.sm):
        raise UnavailableError(
            f"an engine for SM{settings.sm} does not run on this {device.name} (SM{device.sm})",
            "leave out --sm to time what is here",
        )
    engine = TensorRtEngine(
        runtime=runtime,
        precision=precision,
        device=device,
        notes=notes_on(device.sm, precision),
        workshop=Workshop(flavour, source.graph(runtime, precision), device.sm, settings.engines),
        cuda=open_cuda(),
        longest=source.model.config.positions or UNLIMITED,
    )
    for shape in settings.shapes:
        engine.prepare(shape)
    return engine


def kernels(
    runtime: str, graph: bytes, precision: str, settings: EngineSettings
) -> tuple[Kernel, ...]:
    """Build an engine and tell what it runs, without running it.

    It is built for the first of `settings.shapes`, or 8 x 128; for `settings.sm`, or the GPU here,
    or the oldest one that TensorRT-RTX builds the precision for.
    """
    flavour = load_flavour(runtime)
    sm = settings.sm or sm_here(flavour, precision)
    shape = settings.shapes[0] if settings.shapes else usual_shape(graph)
    return kernels_of(build_once(settings.engines, flavour, graph, shape, sm).layers)


def sm_here(flavour: Flavour, precision: str) -> str:
    """Choose what to build for where nobody says.

    Raises:
        UnavailableError: If there is no GPU and full TensorRT is to build.
    """
    try:
        return find_device().sm
    except UnavailableError as error:
        if flavour.builds_for_others:
            return OLDEST_TARGETS[precision]
        raise no_device(flavour) from error


def usual_shape(graph: bytes) -> Shape:
    """Return 8 x 128, or less where the model's position table ends before."""
    tables = (t for t in onnx.load_model_from_string(graph).graph.initializer if t.dims)
    rows = [t.dims[0] for t in tables if t.name.endswith("position_embeddings.weight")]
    return USUAL_SHAPE[0], min([USUAL_SHAPE[1], *rows])


def notes_on(sm: str, precision: str) -> tuple[str, ...]:
    """Say what a GPU cannot do that its times depend on."""
    if sm == VOLTA and precision == "int8":
        return ("SM70 (Volta) has no int8 tensor cores: int8 saves memory, not always time",)
    return ()
