"""How much memory an engine takes: the peak of a process that loads it, runs it and does no more.

The process is `python -m bertslim.runtime.footprint DIRECTORY`. It imports neither PyTorch, unless
that is what is measured, nor anything that only writes graphs.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bertslim.errors import UnavailableError
from bertslim.runtime.engine import RUNTIMES, Batch, Engine, EngineSettings, Source, build

STATUS = Path("/proc/self/status")
"""Where Linux tells a process about itself."""
JOB, BATCHES, PEAK = "job.json", "batches.npz", "peak"
RUNS = 2
"""The second takes what the first has left in pools."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process loads."""

    runtime: str
    precision: str
    threads: int
    model: str
    """Path of a graph; for PyTorch, of a checkpoint."""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A source of engines that has nothing but a file, which they read as a server would."""

    file: str

    def graph(self, _runtime: str, _precision: str) -> str:
        """Return the path."""
        return self.file


def peak_bytes(job: Job, batches: Sequence[Batch]) -> int:
    """Run batches in a process of their own and return the most memory that it ever had.

    Raises:
        UnavailableError: If the process fails, or this system does not tell.
    """
    if not STATUS.exists():
        raise UnavailableError(f"this system has no {STATUS}, which tells how much memory is used")
    with tempfile.TemporaryDirectory(prefix="bertslim-") as folder:
        directory = Path(folder)
        (directory / JOB).write_text(json.dumps(asdict(job)))
        arrays = {f"{i}.{name}": b[name] for i, b in enumerate(batches) for name in b}
        np.savez(directory / BATCHES, allow_pickle=False, **arrays)
        command = [sys.executable, "-m", __name__, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().rpartition("\n")[2] or "it says nothing"
            raise UnavailableError(f"the process ended with code {done.returncode}: {said}")
        return int((directory / PEAK).read_text())


def resident_peak(status: str) -> int:
    """Read the peak of the resident memory, in bytes, from the text of /proc/self/status."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(directory: Path) -> None:
    """Be the process: load, run, and write down the peak."""
    job = Job(**json.loads((directory / JOB).read_text()))
    engine = _engine(job)
    for _ in range(RUNS):
        for batch in _batches(directory / BATCHES):
            engine.run(batch)
    (directory / PEAK).write_text(str(resident_peak(STATUS.read_text())))


def _engine(job: Job) -> Engine:
    settings = EngineSettings(job.threads)
    if job.runtime == "torch":
        from bertslim.model.loading import load_model
        from bertslim.store.checkpoint import open_checkpoint

        source = Source(load_model(open_checkpoint(job.model)), graph=lambda *_: b"")
        return build(job.runtime, job.precision, source, settings)
    module = importlib.import_module(RUNTIMES[job.runtime].module)
    engine: Engine = module.build(GraphFile(job.model), job.precision, settings)
    return engine


def _batches(file: Path) -> Iterator[Batch]:
    with np.load(file, allow_pickle=False) as arrays:
        numbers = dict.fromkeys(name.partition(".")[0] for name in arrays)
        for number in numbers:
            names = [name for name in arrays if name.startswith(f"{number}.")]
            yield {name.partition(".")[2]: arrays[name] for name in names}


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
