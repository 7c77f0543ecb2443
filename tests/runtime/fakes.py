"""Rows and scores without any engine."""

from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.machine import Machine
from bertslim.runtime.plan import Plan
from bertslim.runtime.rows import Comparison, Outcome, Row
from bertslim.runtime.shape import Lengths, Shape
from bertslim.runtime.timing import Budget, summarise
from bertslim.train.prediction import Score

SHAPE = Shape(8, 128)


def row(
    checkpoint: str = "big",
    times: list[float] | None = None,
    *,
    runtime: str = "torch",
    precision: str = "fp32",
    accuracy: float | None = None,
    first: list[float] | None = None,
    reason: str = "",
    difference: float | None = 1e-6,
    outcome: Outcome | None = None,
    shape: Shape = SHAPE,
    peak: int | None = None,
) -> Row:
    """One row at batch 8 x 128; without times it was not timed."""
    score = None
    if accuracy is not None:
        score = Score({}, "accuracy", accuracy, accuracy - 0.02, accuracy + 0.02, 100)
    return Row(
        checkpoint=checkpoint,
        runtime=runtime,
        precision=precision,
        shape=shape,
        lengths=Lengths(mean=128.0, longest=128, padding=0.0),
        parameters=22_700_000,
        flops=10**9,
        size_bytes=90_900_000,
        build_seconds=1.5,
        peak_bytes=peak,
        difference=difference,
        allowed_difference=1e-3,
        accuracy=score,
        latency=summarise(times, first or times, 8) if times else None,
        gpu=None,
        outcome=outcome or ("timed" if times else "unavailable"),
        reason=reason,
    )


def comparison(*rows: Row, busy: float = 0.0) -> Comparison:
    """The rows, on a machine of no consequence."""
    plan = Plan(("torch",), ("fp32",), (8,), (128,), EngineSettings(2), Budget(1, 0, 1), 0)
    machine = Machine(
        cpu="A CPU",
        cores=2,
        cpus=(0, 1),
        cpus_per_core=1.0,
        busy=busy,
        flags=("avx2",),
        system="Linux 6",
        python="3.11.7",
        versions={"torch": "2.13.0"},
    )
    return Comparison(rows, (), plan, machine, "2026-11-23T12:00:00+00:00")
