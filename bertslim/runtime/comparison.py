"""Checkpoints x runtimes x precisions x shapes: checked first, then scored, then timed in turns."""

from collections.abc import Sequence
from dataclasses import replace

from bertslim.console import counted, track, warn
from bertslim.errors import SettingsError, UnavailableError, about, fault_list
from bertslim.model.shapes import parameter_counts
from bertslim.runtime.contenders import Contender, Entry, prepare
from bertslim.runtime.machine import Machine, this_machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.rows import Comparison, Outcome, Row
from bertslim.runtime.shape import Shape
from bertslim.runtime.timing import take_turns
from bertslim.runtime.turns import Racer
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
    entries = [entry for contender in contenders for entry in _prepared(contender, plan)]
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


def _prepared(contender: Contender, plan: Plan) -> list[Entry]:
    with about(contender.name):
        return list(prepare(contender, plan))


def _refuse_impossible_lengths(contenders: Sequence[Contender], plan: Plan) -> None:
    """Refuse sequences that are too long; a task's rows are cut when they are encoded."""
    lengths = [length for length in plan.lengths if isinstance(length, int)]
    faults = []
    for contender in contenders:
        limit = contender.model.config.positions
        too_long = [n for n in lengths if limit is not None and n > limit]
        faults += [f"{contender.name} takes {limit}, not {n}" for n in too_long]
    if faults:
        raise SettingsError(fault_list("--length is too large", faults))


def _warn_of_company(machine: Machine, threads: int) -> None:
    if machine.is_crowded(threads):
        warn(f"others keep {machine.busy:.1f} of {len(machine.cpus)} CPUs busy: times will scatter")
    if threads > machine.cores:
        there = counted(machine.cores, "core")
        warn(f"--threads {threads}, but only {there} that this process may keep busy")


def _refuse_nothing(entries: Sequence[Entry]) -> None:
    if all(entry.engine is None and not entry.gpu for entry in entries):
        reasons = [
            f"{e.contender.name} on {e.cell.runtime} {e.cell.precision}: {e.reason}"
            for e in entries
        ]
        raise UnavailableError(fault_list("nothing can be timed here", reasons))


def _timed(entries: Sequence[Entry], shape: Shape, plan: Plan) -> list[Row]:
    """Time, at one shape, the engines that agree with the reference."""
    racers = {
        i: Racer(entry.engine, entry.workloads[shape].timed)
        for i, entry in enumerate(entries)
        if entry.engine is not None and entry.agrees(shape)
    }
    times = take_turns({i: racer.turn() for i, racer in racers.items()}, plan.budget)
    first = next(iter(times.values()), [])
    rows = [_row(entry, shape) for entry in entries]
    for i, racer in racers.items():
        latency = racer.latency(times[i], first, shape.batch_size)
        gpu = rows[i].gpu
        if gpu:
            gpu = replace(gpu, measurement=racer.measurement(len(times[i])))
        rows[i] = replace(rows[i], latency=latency, gpu=gpu, outcome="timed")
    return rows


def _row(entry: Entry, shape: Shape) -> Row:
    """What is known of an engine at a shape before it is timed."""
    contender, work = entry.contender, entry.workloads[shape]
    agreed, gpu = entry.agreements.get(shape), entry.gpu.get(shape)
    outcome: Outcome = "differs" if agreed else "built" if gpu else "unavailable"
    return Row(
        checkpoint=contender.name,
        runtime=entry.cell.runtime,
        precision=entry.cell.precision,
        shape=shape,
        lengths=work.lengths,
        parameters=parameter_counts(contender.model).total,
        flops=work.flops(contender.model.config),
        size_bytes=contender.size_bytes,
        build_seconds=gpu.seconds if gpu else entry.build_seconds,
        peak_bytes=gpu.device_bytes if gpu else entry.peaks.get(shape),
        difference=agreed.difference if agreed else None,
        allowed_difference=agreed.allowed if agreed else None,
        accuracy=entry.accuracy,
        latency=None,
        gpu=gpu,
        outcome=outcome,
        reason=agreed.fault if agreed else entry.reason,
    )
