"""`bertslim bench`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bertslim.commands.bench.options import BoundOptions, Cells, Files, Measuring, plan_from
from bertslim.commands.bench.publishing import publish
from bertslim.commands.options import OptionalTaskFile, ReportOptions, command, refuse_options
from bertslim.commands.step import read_source
from bertslim.console import reserved_stdout
from bertslim.errors import QualityError, UnavailableError, fault_list
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.task import Task, load_task

if TYPE_CHECKING:
    from bertslim.runtime.plan import Plan
    from bertslim.runtime.rows import Comparison

PICTURES = (".png", ".svg", ".pdf")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "bench",
        examples="""
        bertslim bench models/sst2 out/sst2-heads40 --task sst2.toml --picture trade-off.png
        bertslim bench models/sst2 --runtime onnxruntime,openvino --batch 1,8,32 --length 64,128
        bertslim quantize models/sst2 --precision int8 --target openvino --task sst2.toml |
          bertslim bench models/sst2 - --task sst2.toml --max-drop 0.01 --min-speedup 4
        """,
    )(bench)


def bench(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Checkpoint directories or hub names; one may be `-`, read from the pipe.",
            show_default=False,
        ),
    ],
    task: OptionalTaskFile = None,
    *,
    cells: Cells,
    measuring: Measuring,
    bounds: BoundOptions,
    files: Files,
    report: ReportOptions,
) -> None:
    """Time checkpoints side by side, with their accuracy.

    Every engine is compared with PyTorch first; one that computes something else is not timed. The
    engines take turns, so that what slows the machine down slows all of them.

    What `fuse` or `quantize` made runs as the graph that it is, on the runtime and in the precision
    that it is for. The bounds hold for every checkpoint after the first, which is compared with the
    first on the same runtime, in the same precision or else the first one named. A bound that is
    missed ends in exit code 3.
    """
    plan = plan_from(cells, measuring, files)
    _refuse_what_cannot_be(models, plan, task, files, bounds)
    described = load_task(task) if task else None
    names = [read_source(model) for model in models]
    checkpoints = [open_checkpoint(name) for name in names]
    with reserved_stdout():
        comparison = _compare(names, checkpoints, described, plan)
    publish(comparison, files, as_json=report.json)
    _hold_to(bounds, comparison)


def _refuse_what_cannot_be(
    models: Sequence[str],
    plan: "Plan",
    task: Path | None,
    files: Files,
    bounds: BoundOptions,
) -> None:
    from bertslim.runtime.engine import RUNTIMES

    faults, picture = files.faults(), files.picture
    gpu = [name for name in plan.runtimes if RUNTIMES[name].gpu]
    if models.count("-") > 1:
        faults.append("'-' can stand for one MODEL only: the pipe brings one path")
    if picture and not task:
        faults.append("--picture shows accuracy, so it needs --task")
    if picture and picture.suffix.lower() not in PICTURES:
        faults.append(f"--picture {picture.name}: the name must end in {', '.join(PICTURES)}")
    if plan.engine.sm and not (plan.any_runtime or gpu):
        faults.append("--sm is of TensorRT: name tensorrt-rtx in --runtime")
    if "task" in plan.lengths and not task:
        faults.append("--length task takes the rows of a task, so it needs --task")
    if bounds.max_drop is not None and not task:
        faults.append("--max-drop is about accuracy, so it needs --task")
    for flag, bound in (("--max-drop", bounds.max_drop), ("--min-speedup", bounds.min_speedup)):
        if bound is not None and len(models) == 1:
            faults.append(f"{flag} compares with the first MODEL, so it needs a second one")
    refuse_options(faults)


def _compare(
    names: Sequence[str], checkpoints: Sequence[Checkpoint], task: Task | None, plan: "Plan"
) -> "Comparison":
    from bertslim.commands.bench.contenders import contender, numbered
    from bertslim.runtime.comparison import compare

    pairs = zip(numbered(names), checkpoints, strict=True)
    return compare([contender(name, checkpoint, task, plan) for name, checkpoint in pairs], plan)


def _hold_to(options: BoundOptions, comparison: "Comparison") -> None:
    from bertslim.runtime.bounds import Bounds, disagreements, missed_bounds, never_timed

    bounds = Bounds(options.max_drop, options.min_speedup, options.max_p95_ms)
    rows, usual = comparison.rows, comparison.plan.precisions[0]
    faults = disagreements(rows) + missed_bounds(rows, bounds, usual)
    untimed = never_timed(rows, bounds, require=options.require_timing)
    if faults:
        raise QualityError(fault_list("missed", [*dict.fromkeys(faults + untimed)]))
    if untimed:
        raise UnavailableError(
            fault_list("this machine cannot time all of it", untimed), "run it where the GPU is"
        )
