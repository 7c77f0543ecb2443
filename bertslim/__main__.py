"""Entry point of `bertslim` and `python -m bertslim`."""

import sys

from bertslim.cli import main


def run() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(main())


if __name__ == "__main__":
    run()
