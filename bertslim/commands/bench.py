"""`bertslim bench`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bertslim.commands.options import OptionalTaskFile, ReportOptions, Seed, command
from bertslim.commands.step import read_source
from bertslim.console import note, reserved_stdout
from bertslim.errors import QualityError, SettingsError, fault_list
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.staging import explained_os_errors
from bertslim.train.task import Task, load_task

if TYPE_CHECKING:
    from bertslim.runtime.plan import Plan
    from bertslim.runtime.rows import Comparison

DEFAULT_PRECISION = "fp32"
WIDTH_OF_FILES = 120
PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class Cells:
    """What is measured: every combination of these."""

    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAMES",
            help="Any of torch, onnxruntime, openvino; by default those that are installed.",
        ),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="NAMES", help="Any of fp32, fp16, bf16, int8; by default fp32."
        ),
    ] = None
    batch: Annotated[str, typer.Option("--batch", metavar="SIZES", help="Sequences per batch.")] = (
        "1,8"
    )
    length: Annotated[
        str,
        typer.Option(
            "--length",
            metavar="SIZES",
            help="Tokens per sequence; `task` is rows of the task, unsorted, with their padding.",
        ),
    ] = "128"


@dataclass(frozen=True, slots=True)
class Measuring:
    """How long, and with what."""

    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="Time for each engine at each shape.")
    ] = 5.0
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Measure at least so often, however long.")
    ] = 10
    warm_up: Annotated[
        int, typer.Option("--warm-up", min=0, help="Rounds that are run first and not counted.")
    ] = 3
    threads: Annotated[
        int, typer.Option("--threads", min=0, help="CPU threads; 0 takes one for each core.")
    ] = 0
    no_memory: Annotated[
        bool,
        typer.Option("--no-memory", help="Leave out the peak memory, which takes a process each."),
    ] = False
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class BoundOptions:
    """What the checkpoints after the first must reach."""

    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", help="Most of the metric that may be lost."),
    ] = None
    min_speedup: Annotated[
        float | None,
        typer.Option("--min-speedup", min=0, help="Least times as fast."),
    ] = None
    max_p95_ms: Annotated[
        float | None,
        typer.Option("--max-p95-ms", min=0, help="Slowest 95th percentile."),
    ] = None


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
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write all raw times as JSON.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw accuracy against latency."),
    ] = None,
    *,
    cells: Cells,
    measuring: Measuring,
    bounds: BoundOptions,
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
    plan = _plan(cells, measuring)
    _refuse_what_cannot_be(models, plan, task, (save, picture), bounds)
    described = load_task(task) if task else None
    names = [read_source(model) for model in models]
    checkpoints = [open_checkpoint(name) for name in names]
    with reserved_stdout():
        comparison = _compare(names, checkpoints, described, plan)
    _publish(comparison, save, picture, as_json=report.json)
    _hold_to(bounds, comparison)


def _plan(cells: Cells, measuring: Measuring) -> "Plan":
    from bertslim.runtime.engine import EngineSettings, check_names
    from bertslim.runtime.machine import available_cores
    from bertslim.runtime.plan import Plan
    from bertslim.runtime.timing import Budget

    plan = Plan(
        runtimes=_runtimes(cells.runtime),
        precisions=_words("--precision", cells.precision or DEFAULT_PRECISION),
        batch_sizes=_sizes("--batch", cells.batch),
        lengths=_lengths(cells.length),
        engine=EngineSettings(measuring.threads or available_cores()),
        budget=Budget(measuring.seconds, measuring.warm_up, measuring.rounds),
        seed=measuring.seed,
        memory=not measuring.no_memory,
        any_runtime=cells.runtime is None,
        any_precision=cells.precision is None,
    )
    check_names(plan.runtimes, plan.precisions)
    return plan


def _runtimes(names: str | None) -> tuple[str, ...]:
    """Read the names; without any, take what runs here and is installed, and say what is not."""
    from bertslim.runtime.engine import RUNTIMES, installed_runtimes, usual_runtimes

    if names is not None:
        return _words("--runtime", names)
    installed, usual = installed_runtimes(), usual_runtimes()
    for name in usual:
        if name not in installed:
            note(f"{name} is left out, since it is not installed: {RUNTIMES[name].install}")
    return tuple(name for name in usual if name in installed)


def _words(flag: str, text: str) -> tuple[str, ...]:
    """Read what stands between commas, each once."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise SettingsError(f"{flag} names nothing", "separate several by commas")
    return words


def _sizes(flag: str, text: str) -> tuple[int, ...]:
    words = _words(flag, text)
    if wrong := [word for word in words if not word.isdecimal() or int(word) == 0]:
        raise SettingsError(f"{flag} {','.join(wrong)}: not a positive number", "such as 1,8,32")
    return tuple(int(word) for word in words)


def _lengths(text: str) -> tuple[int | Literal["task"], ...]:
    from bertslim.runtime.shape import TASK

    words = _words("--length", text)
    numbers = ",".join(word for word in words if word != TASK)
    sizes = iter(_sizes("--length", numbers) if numbers else ())
    return tuple(TASK if word == TASK else next(sizes) for word in words)


def _refuse_what_cannot_be(
    models: Sequence[str],
    plan: "Plan",
    task: Path | None,
    files: tuple[Path | None, Path | None],
    bounds: BoundOptions,
) -> None:
    _, picture = files
    faults = [
        f"{flag} {file} cannot be a file: its directory is missing, or it is a directory itself"
        for flag, file in zip(("--save", "--picture"), files, strict=True)
        if file and (file.is_dir() or not file.absolute().parent.is_dir())
    ]
    if models.count("-") > 1:
        faults.append("'-' can stand for one MODEL only: the pipe brings one path")
    if picture and not task:
        faults.append("--picture shows accuracy, so it needs --task")
    if picture and picture.suffix.lower() not in PICTURES:
        faults.append(f"--picture {picture.name}: the name must end in {', '.join(PICTURES)}")
    if "task" in plan.lengths and not task:
        faults.append("--length task takes the rows of a task, so it needs --task")
    if bounds.max_drop is not None and not task:
        faults.append("--max-drop is about accuracy, so it needs --task")
    for flag, bound in (("--max-drop", bounds.max_drop), ("--min-speedup", bounds.min_speedup)):
        if bound is not None and len(models) == 1:
            faults.append(f"{flag} compares with the first MODEL, so it needs a second one")
    if faults:
        raise SettingsError(fault_list("these options do not go together", faults))


def _compare(
    names: Sequence[str], checkpoints: Sequence[Checkpoint], task: Task | None, plan: "Plan"
) -> "Comparison":
    from bertslim.commands.contenders import contender, numbered
    from bertslim.runtime.comparison import compare

    pairs = zip(numbered(names), checkpoints, strict=True)
    return compare([contender(name, checkpoint, task, plan) for name, checkpoint in pairs], plan)


def _publish(
    comparison: "Comparison", save: Path | None, picture: Path | None, *, as_json: bool
) -> None:
    # Files first: whoever reads stdout may close it early.
    if save:
        with explained_os_errors(save):
            text = json.dumps(comparison.as_json(), indent=1, allow_nan=False)
            save.write_text(text + "\n", encoding="utf-8")
        note(f"wrote {save}")
    if picture:
        from bertslim.runtime.picture import draw

        with explained_os_errors(picture):
            draw(comparison, picture)
        note(f"wrote {picture}")
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), allow_nan=False))
    else:
        _print_table(comparison)


def _print_table(comparison: "Comparison") -> None:
    from rich.console import Console

    from bertslim.runtime.table import comparison_text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    width = console.width if console.is_terminal else WIDTH_OF_FILES
    console.print(comparison_text(comparison, width), end="")


def _hold_to(options: BoundOptions, comparison: "Comparison") -> None:
    from bertslim.runtime.bounds import Bounds, disagreements, missed_bounds

    bounds = Bounds(options.max_drop, options.min_speedup, options.max_p95_ms)
    rows, usual = comparison.rows, comparison.plan.precisions[0]
    faults = disagreements(rows) + missed_bounds(rows, bounds, usual)
    if faults:
        raise QualityError(fault_list("missed", faults))
