"""The command line: which subcommands there are, and how failures leave the process."""

import errno
import signal
from collections.abc import Sequence
from types import FrameType

import typer

from bertslim import __version__
from bertslim.commands import (
    augment,
    bench,
    distill,
    evaluate,
    export,
    finetune,
    fuse,
    inspect,
    prune_heads,
    prune_l0,
    quantize,
    theseus,
)
from bertslim.console import error_console
from bertslim.errors import BertslimError

INTERRUPTED = 130

app = typer.Typer(
    name="bertslim",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Each command reads a checkpoint directory and prints the path of the one that it wrote, "
        "so that steps compose:\n\n\b\n"
        "  bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4 | bertslim inspect -"
    ),
)
for module in (
    finetune,
    evaluate,
    prune_heads,
    prune_l0,
    distill,
    augment,
    theseus,
    fuse,
    quantize,
    bench,
    inspect,
    export,
):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bertslim {__version__}")
        raise typer.Exit


@app.callback()
def bertslim(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_show_version, help="Show the version."
    ),
) -> None:
    """Make fine-tuned BERT models smaller and faster."""
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `bertslim`; those of this process when None.

    Returns:
        The exit code (see `bertslim.errors`; 130 when interrupted).
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="bertslim")
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            error_console().print("interrupted")
        return stop.code if isinstance(stop.code, int) else 0
    except BertslimError as error:
        show_error(error)
        return error.exit_code
    except OSError as error:
        # Files are explained where they are used; a full disk can also be behind stdout.
        if error.errno != errno.ENOSPC:
            raise
        show_error(BertslimError("no space left to write the output", "free some space"))
        return BertslimError.exit_code
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def show_error(error: BertslimError) -> None:
    """Print an expected failure and its cure on stderr."""
    console = error_console()
    console.print(f"bertslim: {error}", style="bold red", markup=False)
    if error.hint:
        console.print(f"  hint: {error.hint}", markup=False)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise KeyboardInterrupt
