"""The options of `bench`, and the plan that they make."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from bertslim.commands.options import Seed
from bertslim.console import note
from bertslim.errors import SettingsError, fault_list

if TYPE_CHECKING:
    from bertslim.runtime.plan import Plan

DEFAULT_PRECISION = "fp32"
Length = int | Literal["task"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Cells:
    """What is measured: every combination of these."""

    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAMES",
            help="Any of torch, onnxruntime, openvino, tensorrt, tensorrt-rtx; by default those"
            " that are installed and that this machine has the hardware for.",
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
    cpus: Annotated[
        str,
        typer.Option(
            "--cpus",
            metavar="LIST",
            help="Run on these CPUs alone, such as 0-3,8.",
            show_default=False,
        ),
    ] = ""
    sm: Annotated[
        str,
        typer.Option(
            "--sm",
            metavar="NUMBER",
            help="Compute capability of the GPU that tensorrt-rtx builds for, such as 75 or 86.",
            show_default=False,
        ),
    ] = ""
    engines: Annotated[
        Path | None,
        typer.Option(
            "--engines", metavar="DIR", file_okay=False, help="Keep what TensorRT builds here."
        ),
    ] = None
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
    require_timing: Annotated[
        bool, typer.Option("--require-timing", help="Fail, by exit code 6, if a row has no times.")
    ] = False


@dataclass(frozen=True, slots=True)
class Files:
    """Where the results go besides stdout."""

    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write all raw times as JSON.")
    ] = None
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw accuracy against latency."),
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write one page with all tables, columns and pictures."
        ),
    ] = None

    def by_flag(self) -> list[tuple[str, Path | None]]:
        """Name each by its flag."""
        return [(f"--{name}", file) for name, file in asdict(self).items()]

    def faults(self) -> list[str]:
        """Say which of them cannot be written."""
        return [
            f"{flag} {file} cannot be a file: its directory is missing, or it is a directory itself"
            for flag, file in self.by_flag()
            if file and (file.is_dir() or not file.absolute().parent.is_dir())
        ]


def plan_from(cells: Cells, measuring: Measuring, files: Files) -> "Plan":
    """Read what is to be measured, and refuse what no engine has.

    Raises:
        SettingsError: Naming every list that cannot be read.
    """
    from bertslim.runtime.affinity import cpu_list, keep_to
    from bertslim.runtime.engine import EngineSettings
    from bertslim.runtime.machine import available_cores
    from bertslim.runtime.plan import Plan
    from bertslim.runtime.timing import Budget

    runtimes, precisions, batch_sizes, lengths = _lists(cells)
    if measuring.cpus:
        keep_to(cpu_list(measuring.cpus))
    return Plan(
        runtimes=runtimes or _those_here(),
        precisions=precisions,
        batch_sizes=batch_sizes,
        lengths=lengths,
        engine=EngineSettings(
            measuring.threads or available_cores(), sm=measuring.sm, engines=measuring.engines
        ),
        budget=Budget(measuring.seconds, measuring.warm_up, measuring.rounds),
        seed=measuring.seed,
        memory=not measuring.no_memory,
        breakdown=files.html is not None,
        any_runtime=cells.runtime is None,
        any_precision=cells.precision is None,
    )


def _lists(
    cells: Cells,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...], tuple[Length, ...]]:
    """Read runtimes, which may be none, precisions, sizes and lengths.

    Raises:
        SettingsError: With the faults of all; a single one keeps its own hint.
    """
    faults: list[SettingsError] = []

    def read(items: Callable[[], tuple[Item, ...]]) -> tuple[Item, ...]:
        try:
            return items()
        except SettingsError as fault:
            faults.append(fault)
            return ()

    lists = (
        read(lambda: _runtimes(cells.runtime)),
        read(lambda: _precisions(cells.precision or DEFAULT_PRECISION)),
        read(lambda: _sizes("--batch", cells.batch)),
        read(lambda: _lengths(cells.length)),
    )
    if len(faults) == 1:
        raise faults[0]
    if faults:
        said = [f"{fault} ({fault.hint})" for fault in faults]
        raise SettingsError(fault_list("these options cannot be read", said))
    return lists


def _those_here() -> tuple[str, ...]:
    """Take the runtimes that run here and are installed, and say which are not."""
    from bertslim.runtime.engine import RUNTIMES, installed_runtimes, usual_runtimes

    installed, usual = installed_runtimes(), usual_runtimes()
    for name in usual:
        if name not in installed:
            note(f"{name} is left out, since it is not installed: {RUNTIMES[name].install}")
    return tuple(name for name in usual if name in installed)


def _runtimes(text: str | None) -> tuple[str, ...]:
    from bertslim.runtime.engine import check_names

    names = () if text is None else _words("--runtime", text)
    check_names(names, ())
    return names


def _precisions(text: str) -> tuple[str, ...]:
    from bertslim.runtime.engine import check_names

    names = _words("--precision", text)
    check_names((), names)
    return names


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


def _lengths(text: str) -> tuple[Length, ...]:
    from bertslim.runtime.shape import TASK

    words = _words("--length", text)
    numbers = ",".join(word for word in words if word != TASK)
    sizes = iter(_sizes("--length", numbers) if numbers else ())
    return tuple(TASK if word == TASK else next(sizes) for word in words)
