"""The results of `bench`, as a table or an object on stdout and as files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bertslim.commands.bench.options import Files
from bertslim.console import note, warn
from bertslim.errors import SettingsError
from bertslim.store.staging import explained_os_errors

if TYPE_CHECKING:
    from bertslim.runtime.rows import Comparison

WIDTH_OF_FILES = 120


def publish(comparison: "Comparison", files: Files, *, as_json: bool) -> None:
    """Write the files that were asked for, then stdout, which its reader may close early."""
    writers = {"--save": _save, "--picture": _draw, "--html": _write_page}
    for flag, file in files.by_flag():
        if file:
            _written(file, writers[flag], comparison)
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), allow_nan=False))
    else:
        _print_table(comparison)


def _written(
    file: Path, write: "Callable[[Comparison, Path], None]", comparison: "Comparison"
) -> None:
    with explained_os_errors(file):
        try:
            write(comparison, file)
        except SettingsError as error:  # no reason to lose what was measured
            warn(f"{file} was not written: {error}")
            return
    note(f"wrote {file}")


def _save(comparison: "Comparison", file: Path) -> None:
    text = json.dumps(comparison.as_json(), indent=1, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")


def _draw(comparison: "Comparison", file: Path) -> None:
    from bertslim.runtime.picture import draw

    draw(comparison, file)


def _write_page(comparison: "Comparison", file: Path) -> None:
    from bertslim.runtime.page import comparison_page

    file.write_text(comparison_page(comparison), encoding="utf-8")


def _print_table(comparison: "Comparison") -> None:
    from rich.console import Console

    from bertslim.runtime.table import comparison_text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    width = console.width if console.is_terminal else WIDTH_OF_FILES
    console.print(comparison_text(comparison, width), end="")
