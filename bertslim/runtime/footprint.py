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
JOB, BATCHES, PEAKS = "job.json", "batches-{}.npz", "peaks.json"
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


def peak_bytes(job: Job, passes: Sequence[Sequence[Batch]]) -> list[int]:
    """Run passes over batches in a process of their own, smallest first.

    Returns:
        For each pass, the most memory that the process ever had until its end.

    Raises:
        UnavailableError: If the process fails, or this system does not tell.
    """
    if not STATUS.exists():
        raise UnavailableError(f"this system has no {STATUS}, which tells how much memory is used")
    order = sorted(range(len(passes)), key=lambda i: _largest(passes[i]))
    with tempfile.TemporaryDirectory(prefix="bertslim-") as folder:
        directory = Path(folder)
        (directory / JOB).write_text(json.dumps(asdict(job)))
        for place, number in enumerate(order):
            _write(directory / BATCHES.format(place), passes[number])
        command = [sys.executable, "-m", __name__, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().rpartition("\n")[2] or "it says nothing"
            raise UnavailableError(f"the process ended with code {done.returncode}: {said}")
        peaks = dict(zip(order, json.loads((directory / PEAKS).read_text()), strict=True))
    return [peaks[number] for number in range(len(passes))]


def resident_peak(status: str) -> int:
    """Read the peak of the resident memory, in bytes, from the text of /proc/self/status."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(directory: Path) -> None:
    """Be the process: load, run pass after pass, and write down the peak after each."""
    job = Job(**json.loads((directory / JOB).read_text()))
    engine = _engine(job)
    peaks: list[int] = []
    while (file := directory / BATCHES.format(len(peaks))).exists():
        for _ in range(RUNS):
            for batch in _read(file):
                engine.run(batch)
        peaks.append(resident_peak(STATUS.read_text()))
    (directory / PEAKS).write_text(json.dumps(peaks))


def _engine(job: Job) -> Engine:
    settings = EngineSettings(job.threads)
    if job.runtime == "torch":
        from bertslim.model.opening import open_model
        from bertslim.store.checkpoint import open_checkpoint

        source = Source(open_model(open_checkpoint(job.model)), graph=lambda *_: b"")
        return build(job.runtime, job.precision, source, settings)
    module = importlib.import_module(RUNTIMES[job.runtime].module)
    engine: Engine = module.build(GraphFile(job.model), job.precision, settings)
    return engine


def _largest(batches: Sequence[Batch]) -> int:
    return max(batch["input_ids"].size for batch in batches)


def _write(file: Path, batches: Sequence[Batch]) -> None:
    arrays = {f"{i}.{name}": values for i, b in enumerate(batches) for name, values in b.items()}
    np.savez(file, allow_pickle=False, **arrays)


def _read(file: Path) -> Iterator[Batch]:
    with np.load(file, allow_pickle=False) as arrays:
        numbers = dict.fromkeys(name.partition(".")[0] for name in arrays)
        for number in numbers:
            names = [name for name in arrays if name.startswith(f"{number}.")]
            yield {name.partition(".")[2]: arrays[name] for name in names}


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
