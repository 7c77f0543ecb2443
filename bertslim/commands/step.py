"""How a step runs: known by its request, done once, written whole, announced on stdout."""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer

from bertslim.commands.options import StepOptions, replayable_options
from bertslim.console import Verbosity, note, reserved_stdout, verbosity
from bertslim.errors import OutputExistsError, SettingsError, UpstreamError
from bertslim.store import provenance
from bertslim.store.checkpoint import TASKS, Checkpoint
from bertslim.store.deployment import DEPLOYMENT, GRAPH
from bertslim.store.staging import (
    RESUME,
    explained_os_errors,
    filled_stage,
    forget_runs,
    locked_stage,
    remove_stale_stages,
    stage_path,
)

Work = Callable[[Path, Path], dict[str, Any]]
"""Fills a directory, may keep what a resumed run needs in another, returns the step's report."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one command asks for.

    Attributes:
        command: The subcommand.
        settings: The options that determine the result, JSON-able.
        inputs: Input checkpoints by role; `model`, if there is one, has the lineage that goes on.
        data: Digest of each data set by role.
        data_sources: Where the data lies, for people.
        suffix: What the default output's name adds to the input's.
        method_version: Raised when the same settings come to mean another result.
        beside: What the default output lies beside, and is named after, where that is no `model`.
        tasks: Names of tasks whose whole models lie inside, with a report of their own for each.
    """

    command: str
    settings: dict[str, Any]
    inputs: dict[str, Checkpoint]
    suffix: str
    data: dict[str, str] = field(default_factory=dict)
    data_sources: dict[str, str] = field(default_factory=dict)
    method_version: int = 1
    beside: Path | None = None
    tasks: tuple[str, ...] = ()

    def request(self) -> provenance.Request:
        """Return the request, with the inputs as they are on disk now."""
        inputs = {role: c.digest() for role, c in self.inputs.items()}
        return provenance.Request(
            self.command, self.method_version, self.settings, inputs, self.data
        )

    def default_output(self) -> Path:
        """Return the directory to write when `-o` is not given: beside the input, or here."""
        path = self.beside or self.inputs["model"].place
        return path.with_name(f"{path.name}-{self.suffix}")


def read_source(value: str) -> str:
    """Return MODEL as given, or, for `-`, the path that the command before this one printed.

    Raises:
        UpstreamError: If the pipe ends without a path.
        typer.BadParameter: If standard input is a terminal.
    """
    if value != "-":
        return value
    if processes() > 1:
        raise typer.BadParameter("the processes of torchrun cannot share a pipe: name the path")
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter("'-' expects a path from a pipe, but there is none")
    line = sys.stdin.readline().strip()
    if not line:
        raise UpstreamError(
            "the pipe ended without a checkpoint path",
            "the command before this one failed; its message is above",
        )
    if not line.startswith("{"):
        return line
    try:
        return str(json.loads(line)["path"])
    except (json.JSONDecodeError, KeyError) as error:
        raise UpstreamError(f'the pipe brought an object without "path": {line[:80]}') from error


def run_step(
    context: typer.Context, step: Step, options: StepOptions, work: Work, *, restart: bool = False
) -> None:
    """Run a step, or find it done; print the finished directory's path.

    Args:
        context: The command's context; its options go into the record.
        step: What is asked for.
        options: Where to, and how.
        work: Does it, in a staged directory.
        restart: Forget what an interrupted run left.

    Raises:
        OutputExistsError: If the directory holds something else.
    """
    output = options.output or step.default_output()
    request = step.request()
    stage = stage_path(output.resolve(), request.key)
    _refuse_to_touch_inputs(output, step)
    done = _made_by(request.key, output)
    if not done:
        _refuse_to_overwrite(output, request.key, force=options.force)
    if options.dry_run:
        note(f"would {'keep' if done else 'write'} {output} (request {request.key[:12]})")
        return
    if rank() > 0:
        if not done:
            _assist(work, stage)
        return
    if not done:
        _say_what_is_left_behind(step)
        if restart:
            forget_runs(output.resolve())
        with explained_os_errors(output):
            done = _fill(context, step, request, options.force, output, work)
    if done:
        _mark_as_current(output)
        note(f"{output} is up to date")
    announce(output, request.key, as_json=options.json)


def rank() -> int:
    """Return this process's number among those that torchrun started; 0 when alone."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """Return how many processes torchrun started; 1 when alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def announce(output: Path, key: str, *, as_json: bool) -> None:
    """Print the one line that the next command reads."""
    typer.echo(json.dumps({"path": str(output), "key": key}) if as_json else output)


def _assist(work: Work, stage: Path) -> None:
    """Take part in the computation of rank 0, which alone writes and talks."""
    verbosity.set(Verbosity.QUIET)
    with tempfile.TemporaryDirectory() as unused, reserved_stdout():
        work(Path(unused), stage / RESUME)


def _fill(
    context: typer.Context,
    step: Step,
    request: provenance.Request,
    force: bool,
    output: Path,
    work: Work,
) -> bool:
    """Do the work unless another process did it while this one waited; return whether it did."""
    stage, lineage = stage_path(output.resolve(), request.key), _lineage(step)
    # The other ranks are at work already: this one cannot wait for a second run to finish it.
    with locked_stage(stage, wait=processes() == 1):
        if _made_by(request.key, output):
            stage.rmdir()
            return True
        for other in remove_stale_stages(output.resolve(), keep=stage):
            note(f"{other} keeps an interrupted run of another request; --restart removes it")
        with filled_stage(stage, output.resolve()), reserved_stdout():
            started = time.monotonic()
            report = work(stage, stage / RESUME)
            record = provenance.Provenance(
                key=request.key,
                request=request,
                options=replayable_options(context) | _replayable_model(step),
                sources={r: c.origin for r, c in step.inputs.items()} | step.data_sources,
                report=report,
                created=provenance.now(),
                seconds=round(time.monotonic() - started, 3),
                environment=provenance.environment(),
                lineage=lineage,
            )
            for name in step.tasks:
                own = replace(record, report=report["tasks"][name])
                provenance.write_provenance(stage / TASKS / name, own)
            provenance.write_provenance(stage, record)
            # Somebody else may have made the directory in the meantime.
            _refuse_to_overwrite(output, request.key, force=force)
    return False


def _mark_as_current(output: Path) -> None:
    """Make the record newer than what it depends on, as `make` wants its stamps."""
    with contextlib.suppress(OSError):
        (output / provenance.PROVENANCE).touch()


def _say_what_is_left_behind(step: Step) -> None:
    model = step.inputs.get("model")
    if model and (model.path / DEPLOYMENT).is_file():
        note(f"{step.command} works on the float weights of {model.origin}, not on its {GRAPH}")


def _lineage(step: Step) -> tuple[dict[str, Any], ...]:
    model = step.inputs.get("model")
    return () if model is None else provenance.lineage_of(model.path)


def _replayable_model(step: Step) -> dict[str, str]:
    """Return MODEL as a later `--config` finds it from any directory: a path or a hub name."""
    model = step.inputs.get("model")
    if model is None:
        return {}
    return {"model": str(model.place) if model.place == model.path.resolve() else model.origin}


def _refuse_to_touch_inputs(output: Path, step: Step) -> None:
    target = output.resolve()
    for source in (checkpoint.path.resolve() for checkpoint in step.inputs.values()):
        if target == source or target in source.parents or source in target.parents:
            raise SettingsError(
                f"the output {output} and the input {source} overlap",
                "choose another place with -o",
            )


def _made_by(key: str, output: Path) -> bool:
    record = provenance.read_record(output)
    if record is None or record["key"] != key:
        return False
    return not provenance.changed_files(output, record)


def _refuse_to_overwrite(output: Path, key: str, *, force: bool) -> None:
    """Only a finished bertslim output may be replaced, and only when asked."""
    if output.is_mount():
        raise OutputExistsError(f"{output} is a mount point", "use a directory inside it")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / provenance.PROVENANCE).is_file():
        raise OutputExistsError(
            f"{output} exists and was not made by bertslim", "choose another place with -o"
        )
    if not force:
        raise OutputExistsError(
            f"{output} {_difference(output, key)}", "pass --force to replace it, or choose -o"
        )


def _difference(output: Path, key: str) -> str:
    """Say why an output of bertslim is not what was asked for."""
    record = provenance.read_record(output) or {}
    if record.get("key") != key:
        return "was made by another request"
    return f"was changed after it was made ({', '.join(provenance.changed_files(output, record))})"
