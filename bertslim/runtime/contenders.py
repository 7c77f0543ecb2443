"""Checkpoints that take part: their engines are built, compared with the reference, then scored."""

import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertslim.console import detail, warn
from bertslim.errors import UnavailableError
from bertslim.model.slim import SlimModel
from bertslim.runtime import agreement
from bertslim.runtime.agreement import Agreement
from bertslim.runtime.breakdown import Breakdown, times_by_group
from bertslim.runtime.engine import RUNTIMES, Batch, Engine, Outputs, Source, build, kernels
from bertslim.runtime.footprint import Job, peak_bytes
from bertslim.runtime.plan import Cell, Plan
from bertslim.runtime.rows import GpuEngine
from bertslim.runtime.shape import Shape
from bertslim.runtime.tensorrt.driver import NO_DEVICE
from bertslim.runtime.workload import Workload, random_words

if TYPE_CHECKING:
    from bertslim.train.prediction import Score

Run = Callable[[Batch], Outputs]


@dataclass(frozen=True, slots=True)
class Contender:
    """A checkpoint that takes part."""

    name: str
    model: SlimModel
    directory: Path
    """Where the model was loaded from."""
    graph: Callable[[str, str], bytes]
    """Makes its graph for a runtime and precision; may raise UnavailableError."""
    cells: tuple[Cell, ...]
    """The ways in which it is run."""
    size_bytes: int
    """On disk: of the weights, or of a deployment's graph."""
    score: "Callable[[Run], Score] | None" = None
    """Scores any way to run the model on the task; None without a task."""
    traffic: Callable[[int], Sequence[Batch]] | None = None
    """Makes batches of so many rows of the task; None without a task."""

    def workload(self, shape: Shape, seed: int) -> Workload:
        """Make what its engines are given at a shape."""
        if isinstance(shape.length, int):
            return random_words(self.model.config, shape.batch_size, shape.length, seed)
        if self.traffic is None:
            raise ValueError(f"{shape} needs a task")
        batches = self.traffic(shape.batch_size)
        return Workload(timed=batches, compared=batches)


@dataclass(frozen=True, slots=True)
class Entry:
    """One engine, or why there is none."""

    contender: Contender
    cell: Cell
    workloads: Mapping[Shape, Workload]
    engine: Engine | None = None
    reason: str = ""
    build_seconds: float | None = None
    agreements: Mapping[Shape, Agreement] = field(default_factory=dict)
    """With PyTorch fp32; none without an engine."""
    peaks: Mapping[Shape, int] = field(default_factory=dict)
    """Most memory of a process that runs nothing else, in bytes, as far as it was measured."""
    accuracy: "Score | None" = None
    gpu: Mapping[Shape, GpuEngine] = field(default_factory=dict)
    """Of engines for a GPU, here or elsewhere."""
    breakdown: Breakdown | None = None
    """Where its time goes at the last shape; None unless it was asked and tells."""

    def agrees(self, shape: Shape) -> bool:
        """Whether there is an engine and it computes what PyTorch computes."""
        return shape in self.agreements and self.agreements[shape].holds


def prepare(contender: Contender, plan: Plan) -> Iterator[Entry]:
    """Build, compare and score the engines of one checkpoint."""
    # a graph is as large as the weights, and is asked for by one engine at a time
    source = Source(contender.model, functools.lru_cache(maxsize=1)(contender.graph))
    workloads = {shape: contender.workload(shape, plan.seed) for shape in plan.shapes()}
    reference = build("torch", "fp32", source, plan.engine)
    for cell in contender.cells:
        entry = _built(Entry(contender, cell, workloads), source, plan)
        if entry.engine is not None:
            entry = _checked(entry, entry.engine, reference)
        if plan.breakdown:
            entry = _taken_apart(entry, source, plan)
        yield _weighed(entry, source, plan) if plan.memory else entry


def _built(entry: Entry, source: Source, plan: Plan) -> Entry:
    cell, is_gpu = entry.cell, RUNTIMES[entry.cell.runtime].gpu
    if cell.refusal:
        return replace(entry, reason=cell.refusal)
    sizes = [size for work in entry.workloads.values() for size in work.sizes] if is_gpu else []
    begin = time.perf_counter()
    try:
        settings = replace(plan.engine, shapes=tuple(sizes))
        engine = build(cell.runtime, cell.precision, source, settings)
    except UnavailableError as error:
        if is_gpu:
            return _built_elsewhere(entry, source, plan, error)
        return replace(entry, reason=str(error))
    seconds = time.perf_counter() - begin
    detail(f"{entry.contender.name}: {cell.runtime} {cell.precision} built in {seconds:.1f} s")
    return replace(entry, engine=engine, build_seconds=seconds)


def _built_elsewhere(entry: Entry, source: Source, plan: Plan, why: UnavailableError) -> Entry:
    """Build what cannot run here, one engine for each shape, if that can be done without a GPU."""
    from bertslim.runtime.gpu import build_elsewhere

    cell = entry.cell
    longest = {shape: work.sizes[0] for shape, work in entry.workloads.items()}
    try:
        graph = source.graph(cell.runtime, cell.precision)
        engines = build_elsewhere(cell, graph, longest, plan.engine)
    except UnavailableError as error:
        return replace(entry, reason=str(error))
    # the driver's own words are for who wants to run an engine, not for who builds one
    reason = NO_DEVICE if str(why).startswith(NO_DEVICE) else str(why)
    return replace(entry, gpu=engines, reason=reason)


def _checked(entry: Entry, engine: Engine, reference: Engine) -> Entry:
    """Compare an engine with the reference at every shape, and score it if it agrees."""
    agreements = {
        shape: agreement.worst([_compared(engine, reference, batch) for batch in work.compared])
        for shape, work in entry.workloads.items()
    }
    entry = replace(entry, agreements=agreements)
    if RUNTIMES[entry.cell.runtime].gpu:
        from bertslim.runtime.gpu import described_here

        entry = replace(entry, gpu=described_here(engine, entry.workloads))
    score = entry.contender.score
    if score is None or not all(entry.agrees(shape) for shape in agreements):
        return entry
    return replace(entry, accuracy=score(engine.run))


def _taken_apart(entry: Entry, source: Source, plan: Plan) -> Entry:
    """Ask the runtime of an engine that agrees which kernels it runs, and how long each takes."""
    cell, shape = entry.cell, plan.shapes()[-1]
    if cell.runtime == "torch" or not entry.agrees(shape):
        return entry
    size, length = entry.workloads[shape].timed[0]["input_ids"].shape
    settings = replace(plan.engine, shapes=((size, length),))
    graph = source.graph(cell.runtime, cell.precision)
    times = times_by_group(kernels(cell.runtime, cell.precision, graph, settings))
    taken = Shape(size, length)
    found = Breakdown(entry.contender.name, cell.runtime, cell.precision, taken, times)
    return replace(entry, breakdown=found if times else None)


def _weighed(entry: Entry, source: Source, plan: Plan) -> Entry:
    """Measure the memory that an engine takes, at every shape that it is going to be timed at."""
    cell = entry.cell
    shapes = [shape for shape in entry.workloads if entry.agrees(shape)]
    if RUNTIMES[cell.runtime].gpu or not shapes:
        return entry
    with tempfile.NamedTemporaryFile(prefix="bertslim-", suffix=".onnx") as file:
        model = str(entry.contender.directory)
        if cell.runtime != "torch":
            file.write(source.graph(cell.runtime, cell.precision))
            file.flush()
            model = file.name
        job = Job(cell.runtime, cell.precision, plan.engine.threads, model)
        try:
            peaks = peak_bytes(job, [entry.workloads[shape].timed for shape in shapes])
        except UnavailableError as error:
            warn(f"{entry.contender.name}: the memory of {cell.runtime} is unknown: {error}")
            return entry
    return replace(entry, peaks=dict(zip(shapes, peaks, strict=True)))


def _compared(engine: Engine, reference: Engine, batch: Batch) -> Agreement:
    expected = reference.run(batch)
    return agreement.compared(engine.precision, engine.run(batch), expected, batch)
