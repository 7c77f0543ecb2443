"""Checkpoints x runtimes x precisions x shapes: checked first, then scored, then timed in turns."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from bertslim.console import detail, track
from bertslim.errors import SettingsError, UnavailableError, fault_list
from bertslim.model.shapes import flops, parameter_counts
from bertslim.runtime import agreement
from bertslim.runtime.agreement import Agreement
from bertslim.runtime.engine import Batch, Engine, Outputs, Source, build
from bertslim.runtime.machine import Machine, this_machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.timing import Latency, summarise, time_rounds

if TYPE_CHECKING:
    from bertslim.train.prediction import Score

FORMAT = 1
"""Version of the saved comparison; raised when a field changes its meaning."""

Run = Callable[[Batch], Outputs]


@dataclass(frozen=True, slots=True)
class Contender:
    """A checkpoint that takes part."""

    name: str
    source: Source
    size_bytes: int
    """Of the weights on disk."""
    score: "Callable[[Run], Score] | None"
    """Scores any way to run the model on the task; None without a task."""


@dataclass(frozen=True, slots=True)
class Row:
    """One checkpoint on one runtime in one precision at one shape."""

    checkpoint: str
    runtime: str
    precision: str
    batch_size: int
    length: int
    parameters: int
    flops: int
    """For one sequence of this length."""
    size_bytes: int
    build_seconds: float | None
    difference: float | None
    """Largest absolute difference from PyTorch fp32 of the same checkpoint, on a padded batch; None
    without an engine, or if an output is not a finite number."""
    allowed_difference: float | None
    """None without an engine."""
    accuracy: "Score | None"
    latency: Latency | None
    reason: str
    """Why there is no latency; empty if there is."""

    @property
    def differs(self) -> bool:
        """Whether the engine was found to compute something else than the model."""
        return self.allowed_difference is not None and self.latency is None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, in the order asked for, and what the times depend on."""

    rows: tuple[Row, ...]
    plan: Plan
    machine: Machine

    def as_json(self) -> dict[str, Any]:
        """Everything, raw times included, as JSON can hold it."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One engine, or why there is none."""

    contender: Contender
    runtime: str
    precision: str
    engine: Engine | None
    reason: str = ""
    build_seconds: float | None = None
    agreements: Mapping[tuple[int, int], Agreement] = field(default_factory=dict)
    """With PyTorch fp32, by shape; none without an engine."""
    accuracy: "Score | None" = None

    def agrees(self, shape: tuple[int, int]) -> bool:
        """Whether there is an engine and it computes what PyTorch computes."""
        return shape in self.agreements and self.agreements[shape].holds


def compare(contenders: Sequence[Contender], plan: Plan) -> Comparison:
    """Compare checkpoints and engines.

    Raises:
        SettingsError: If a length exceeds what a checkpoint can take.
        UnavailableError: If not one engine could be built.
    """
    _refuse_impossible_lengths(contenders, plan)
    entries = [entry for contender in contenders for entry in _prepare(contender, plan)]
    try:
        if all(entry.engine is None for entry in entries):
            reasons = dict.fromkeys(f"{e.runtime} {e.precision}: {e.reason}" for e in entries)
            raise UnavailableError(fault_list("nothing can be timed here", list(reasons)))
        rounds = [_timed(entries, shape, plan) for shape in track(plan.shapes(), "timing shapes")]
    finally:
        for entry in entries:
            if entry.engine is not None:
                entry.engine.close()
    rows = (row for shape_rows in rounds for row in shape_rows)
    return Comparison(tuple(rows), plan, this_machine())


def _refuse_impossible_lengths(contenders: Sequence[Contender], plan: Plan) -> None:
    faults = []
    for contender in contenders:
        config = contender.source.model.config
        limit = config.max_position_embeddings - config.position_offset
        faults += [f"{contender.name} takes {limit}, not {n}" for n in plan.lengths if n > limit]
    if faults:
        raise SettingsError(fault_list("--length is too large", faults))


def _prepare(contender: Contender, plan: Plan) -> Iterator[Entry]:
    """Build, check and score the engines of one checkpoint."""
    # the graph is kept for as long as this checkpoint's engines are being built
    source = replace(contender.source, graph=functools.cache(contender.source.graph))
    reference = build("torch", "fp32", source, plan.engine)
    for runtime, precision in product(plan.runtimes, plan.precisions):
        entry = Entry(contender, runtime, precision, engine=None)
        begin = time.perf_counter()
        try:
            engine = build(runtime, precision, source, plan.engine)
        except UnavailableError as error:
            yield replace(entry, reason=str(error))
            continue
        seconds = time.perf_counter() - begin
        detail(f"{contender.name}: {runtime} {precision} built in {seconds:.1f} s")
        yield _checked(
            replace(entry, engine=engine, build_seconds=seconds), engine, reference, plan
        )


def _checked(entry: Entry, engine: Engine, reference: Engine, plan: Plan) -> Entry:
    """Compare an engine with the reference at every shape, and score it if it agrees."""
    agreements = {}
    for size, length in plan.shapes():
        config = entry.contender.source.model.config
        batch = agreement.padded_batch(config, size, length, plan.seed)
        expected = reference.run(batch)
        found = agreement.compared(entry.precision, engine.run(batch), expected, batch)
        agreements[size, length] = found
    entry = replace(entry, agreements=agreements)
    score = entry.contender.score
    if score is None or not all(entry.agrees(shape) for shape in plan.shapes()):
        return entry
    return replace(entry, accuracy=score(engine.run))


def _timed(entries: Sequence[Entry], shape: tuple[int, int], plan: Plan) -> list[Row]:
    """Time, at one shape, the engines that agree with the reference."""
    runs = {}
    for i, entry in enumerate(entries):
        if entry.engine is not None and entry.agrees(shape):
            config = entry.contender.source.model.config
            batch = agreement.full_batch(config, *shape, plan.seed)
            runs[i] = functools.partial(entry.engine.run, batch)
    times = time_rounds(runs, plan.budget)
    first = next(iter(times.values()), [])
    latencies = {i: summarise(t, first, shape[0]) for i, t in times.items()}
    return [_row(entry, shape, latencies.get(i)) for i, entry in enumerate(entries)]


def _row(entry: Entry, shape: tuple[int, int], latency: Latency | None) -> Row:
    model = entry.contender.source.model
    agreed = entry.agreements.get(shape)
    return Row(
        checkpoint=entry.contender.name,
        runtime=entry.runtime,
        precision=entry.precision,
        batch_size=shape[0],
        length=shape[1],
        parameters=parameter_counts(model).total,
        flops=flops(model.config, shape[1]),
        size_bytes=entry.contender.size_bytes,
        build_seconds=entry.build_seconds,
        difference=agreed.difference if agreed else None,
        allowed_difference=agreed.allowed if agreed else None,
        accuracy=entry.accuracy,
        latency=latency,
        reason=agreed.fault if agreed else entry.reason,
    )
