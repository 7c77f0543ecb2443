"""Options that several commands share, each declared once, and `--config` that saves them.

A command groups them by taking a parameter whose type is one of the frozen dataclasses below;
`command` spreads the dataclass's fields into the signature that Typer sees and hands the command
the filled group.
"""

import functools
import inspect
import json
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bertslim.console import Verbosity, verbosity
from bertslim.errors import SettingsError, fault_list

Device = Literal["auto", "cpu", "cuda"]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Checkpoint directory, hub name, or - to read the path from the pipe.",
        show_default=False,
    ),
]
TaskFile = Annotated[
    Path,
    typer.Option(
        "--task",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Task file (TOML): kind of task, data and metric.",
        show_default=False,
    ),
]
TaskFiles = Annotated[
    list[Path],
    typer.Option(
        "--task",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Task file (TOML): kind of task, data and metric; may be given several times, for "
        "tasks that share an encoder.",
        show_default=False,
    ),
]
OptionalTaskFile = Annotated[
    Path | None,
    typer.Option(
        "--task",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Task file (TOML): kind of task, data and metric.",
        show_default=False,
    ),
]


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Let a file of saved flags supply this command's options; flags on the command line win.

    The file is TOML with one key per flag, or the `provenance.json` of an earlier step, whose
    options are taken. A record names every option, and a recipe may, so that a value which is the
    default anyway does not count as given.
    """
    if path is None or context.resilient_parsing:
        return path
    given = {name.replace("_", "-"): value for name, value in _saved_flags(path).items()}
    known = {_flag(p): p for p in context.command.params if p.name not in ("config", "help")}
    if unknown := sorted(given.keys() - known.keys()):
        raise SettingsError(
            fault_list(f"{path} has options that this command lacks", unknown),
            f"known: {', '.join(sorted(known))}",
        )
    values = {
        known[flag].name: _as_typed(known[flag], value)
        for flag, value in given.items()
        # a number in a file may be a word on the command line
        if str(value) != str(known[flag].default)
    }
    context.default_map = {**(context.default_map or {}), **values}
    return path


def given_options(context: typer.Context) -> frozenset[str]:
    """Return the names of the options that were typed, or that a file of saved flags changes."""
    names = (str(parameter.name) for parameter in context.command.params)
    sources = {name: context.get_parameter_source(name) for name in names}
    given = ("COMMANDLINE", "DEFAULT_MAP")
    return frozenset(name for name, source in sources.items() if source and source.name in given)


def idle_faults(idle: Mapping[str, str], given: Collection[str]) -> list[str]:
    """Say of options that play no part that they are to be left out.

    Args:
        idle: What each is for, by its name.
        given: Names of the options that were given; the others are no fault.
    """
    return [f"{said}; leave it out" for name, said in idle.items() if name in given]


def refuse_options(faults: Sequence[str]) -> None:
    """Refuse options that do not go together.

    Raises:
        SettingsError: With all faults, if there are any.
    """
    if faults:
        raise SettingsError(fault_list("these options do not go together", faults))


def _flag(parameter: Any) -> str:
    """Return an option's long flag without its dashes, or an argument's name."""
    longest: str = max(parameter.opts, key=len)
    return longest.lstrip("-")


def _as_typed(parameter: Any, value: Any) -> Any:
    """Return a value as it would be typed: lists stand between commas where one word is wanted."""
    multiple = getattr(parameter, "multiple", False)
    if multiple and isinstance(value, str):
        return [value]
    one_word = not multiple and parameter.nargs == 1
    return ",".join(map(str, value)) if isinstance(value, list) and one_word else value


def _saved_flags(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".json":
            options = json.loads(path.read_text(encoding="utf-8"))["options"]
            return dict(options.items())
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"--config {path} is not readable ({error})",
            "give a TOML file of flags, or a provenance.json",
        ) from error


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        is_eager=True,
        callback=read_config,
        help="Saved flags: a TOML file or an earlier provenance.json; flags given here win.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute.")]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of every random choice."),
]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Options of a command whose result is a table or a JSON object on stdout."""

    config: Config = None
    json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False


@dataclass(frozen=True, slots=True)
class StepOptions:
    """Options of a command that writes a checkpoint directory."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Directory to write. By default a name beside the input.",
            show_default=False,
        ),
    ] = None
    force: Annotated[
        bool,
        typer.Option("--force", "-f", help="Replace an output that another request made."),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", help="Check options and files, say what would be done, do nothing."
        ),
    ] = False
    config: Config = None
    json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False


NOT_SAVED = frozenset(
    {
        "output",
        "force",
        "dry_run",
        "config",
        "json",
        "quiet",
        "verbose",
        "restart",
        "cache",
        "no_cache",
    }
)
"""Options that say where and how to run, not what to make: a replay chooses them anew."""


def command(
    app: typer.Typer, name: str, *, examples: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a subcommand, its option groups spread into single options.

    Args:
        app: Where the subcommand goes.
        name: The subcommand's name.
        examples: Shell lines shown below the options.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        groups = {n: p.annotation for n, p in signature.parameters.items() if _is_group(p)}

        @functools.wraps(function)
        def spread(**values: Any) -> None:
            _set_verbosity(values)
            filled = {name: _fill(group, values) for name, group in groups.items()}
            function(**values, **filled)

        parameters = [p for n, p in signature.parameters.items() if n not in groups]
        parameters += [p for group in groups.values() for p in _parameters(group)]
        spread.__dict__["__signature__"] = signature.replace(
            parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        )
        spread.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, epilog=_example_block(examples))(spread)
        return function

    return decorate


def replayable_options(context: typer.Context) -> dict[str, Any]:
    """Return the options that make this command's result, JSON-able, as `--config` reads them."""
    parameters = [p for p in context.command.params if p.name in context.params]
    return {
        _flag(parameter): _replayable(value)
        for parameter in parameters
        if (value := context.params[str(parameter.name)]) is not None
        and parameter.name not in NOT_SAVED
    }


def _replayable(value: Any) -> Any:
    """Return a value as `--config` takes it from any directory; of several paths one is a word."""
    if isinstance(value, list) and value and isinstance(value[0], Path):
        paths = [_replayable(path) for path in value]
        return paths[0] if len(paths) == 1 else paths
    return str(value.resolve()) if isinstance(value, Path) else value


def _is_group(parameter: inspect.Parameter) -> bool:
    return inspect.isclass(parameter.annotation) and is_dataclass(parameter.annotation)


def _parameters(group: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(group, eval_str=True).parameters.values())


def _fill(group: Any, values: dict[str, Any]) -> Any:
    """Build the group from its fields, taking them out of the values."""
    return group(**{field.name: values.pop(field.name) for field in fields(group)})


def _set_verbosity(values: dict[str, Any]) -> None:
    if values.get("quiet"):
        verbosity.set(Verbosity.QUIET)
    elif values.get("verbose"):
        verbosity.set(Verbosity.VERBOSE)
    else:
        verbosity.set(Verbosity.NORMAL)


def _example_block(examples: str) -> str:
    lines = inspect.cleandoc(examples).splitlines()
    # \b keeps Typer from flowing the lines into a paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
