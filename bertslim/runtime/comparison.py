"""Checkpoints x runtimes x precisions x shapes: checked first, then scored, then timed in turns."""

import functools
from collections.abc import Sequence

from bertslim.console import track, warn
from bertslim.errors import SettingsError, UnavailableError, fault_list
from bertslim.model.shapes import parameter_counts
from bertslim.runtime.contenders import Contender, Entry, prepare
from bertslim.runtime.engine import Batch, Engine
from bertslim.runtime.machine import Machine, this_machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.rows import Comparison, Outcome, Row
from bertslim.runtime.shape import Shape
from bertslim.runtime.timing import Latency, summarise, time_rounds
from bertslim.store.provenance import now


def compare(contenders: Sequence[Contender], plan: Plan) -> Comparison:
    """Compare checkpoints and engines.

    Raises:
        SettingsError: If a length exceeds what a checkpoint can take.
        UnavailableError: If not one engine could be built.
    """
    _refuse_impossible_lengths(contenders, plan)
    created, machine = now(), this_machine()
    _warn_of_company(machine, plan.engine.threads)
    entries = [entry for contender in contenders for entry in prepare(contender, plan)]
    try:
        _refuse_nothing(entries)
        shapes = track(plan.shapes(), "timing shapes")
        rows = [row for shape in shapes for row in _timed(entries, shape, plan)]
    finally:
        for entry in entries:
            if entry.engine is not None:
                entry.engine.close()
    breakdowns = tuple(entry.breakdown for entry in entries if entry.breakdown)
    return Comparison(tuple(rows), breakdowns, plan, machine, created)


def _refuse_impossible_lengths(contenders: Sequence[Contender], plan: Plan) -> None:
    """Refuse sequences that are too long; a task's rows are cut when they are encoded."""
    lengths = [length for length in plan.lengths if isinstance(length, int)]
    faults = []
    for contender in contenders:
        config = contender.model.config
        limit = config.max_position_embeddings - config.position_offset
        faults += [f"{contender.name} takes {limit}, not {n}" for n in lengths if n > limit]
    if faults:
        raise SettingsError(fault_list("--length is too large", faults))


def _warn_of_company(machine: Machine, threads: int) -> None:
    if machine.is_crowded(threads):
        warn(f"others keep {machine.busy:.1f} of {len(machine.cpus)} CPUs busy: times will scatter")
    if threads > machine.cores:
        warn(f"--threads {threads} is more than the {machine.cores} cores that there are")


def _refuse_nothing(entries: Sequence[Entry]) -> None:
    if all(entry.engine is None for entry in entries):
        reasons = [f"{e.cell.runtime} {e.cell.precision}: {e.reason}" for e in entries]
        raise UnavailableError(fault_list("nothing can be timed here", [*dict.fromkeys(reasons)]))


def _timed(entries: Sequence[Entry], shape: Shape, plan: Plan) -> list[Row]:
    """Time, at one shape, the engines that agree with the reference."""
    batches = {i: e.workloads[shape].timed for i, e in enumerate(entries) if e.agrees(shape)}
    runs = {
        i: functools.partial(_pass, entry.engine, batches[i])
        for i, entry in enumerate(entries)
        if i in batches and entry.engine is not None
    }
    passes = time_rounds(runs, plan.budget)
    times = {i: [t / len(batches[i]) for t in found] for i, found in passes.items()}
    first = next(iter(times.values()), [])
    latencies = {i: summarise(t, first, shape.batch_size) for i, t in times.items()}
    return [_row(entry, shape, latencies.get(i)) for i, entry in enumerate(entries)]


def _pass(engine: Engine, batches: Sequence[Batch]) -> None:
    for batch in batches:
        engine.run(batch)


def _row(entry: Entry, shape: Shape, latency: Latency | None) -> Row:
    contender, work = entry.contender, entry.workloads[shape]
    agreed = entry.agreements.get(shape)
    outcome: Outcome = "timed" if latency else "differs" if agreed else "unavailable"
    return Row(
        checkpoint=contender.name,
        runtime=entry.cell.runtime,
        precision=entry.cell.precision,
        shape=shape,
        lengths=work.lengths,
        parameters=parameter_counts(contender.model).total,
        flops=work.flops(contender.model.config),
        size_bytes=contender.size_bytes,
        build_seconds=entry.build_seconds,
        peak_bytes=entry.peaks.get(shape),
        difference=agreed.difference if agreed else None,
        allowed_difference=agreed.allowed if agreed else None,
        accuracy=entry.accuracy,
        latency=latency,
        outcome=outcome,
        reason=agreed.fault if agreed else entry.reason,
    )
