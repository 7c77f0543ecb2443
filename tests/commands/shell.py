"""Running bertslim as people do: as a process, in a shell."""

import os
import subprocess
import sys
from pathlib import Path

OF_AN_OUTER_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""`make test` leaves these to its children, and an inner make talks differently with them."""

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "HF_HUB_OFFLINE": "1",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
}


def bash(script: str, cwd: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script; its variables are given as environment."""
    environment = ENVIRONMENT | {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def start(words: list[str], cwd: Path) -> subprocess.Popen[str]:
    """Start bertslim without waiting for it."""
    command = [sys.executable, "-m", "bertslim", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)
