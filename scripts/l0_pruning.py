"""Gates that are learnt beside units that are scored: same size, same recovery, several seeds.

python scripts/l0_pruning.py MODEL TASK.toml [--sparsity 0.5] [--seeds 0 1 2] [--epochs 3]
    [--recover 3] [--learning-rate 5e-5] [--directory DIR]

Heads and FFN units go until that part of the encoder's FLOPs at 128 tokens is gone. `prune-l0`
learns its gates for --epochs; `prune-heads --units heads,ffn` scores, without training. Each
result then goes through the same `distill`. The metric is that of the task's validation data. Runs
are kept in the directory, and those that are there are not made again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bertslim.methods.prune_l0.sparsity import full_size
from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint

WAYS = ("gates", "gradient", "fisher", "surgeon")
"""`gates` are prune-l0's; the others are --method of prune-heads, with nothing set anew."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way with one seed.

    Attributes:
        parameters: Part of the encoder's that is gone.
        products: Part of the encoder's FLOPs that is gone.
        metrics: Before pruning, after it, and after recovery.
        seconds: Of pruning, and of recovery.
    """

    parameters: float
    products: float
    metrics: tuple[float, float, float]
    seconds: tuple[float, float]


def main() -> None:
    options = parse_options()
    columns = ("way", "parameters gone", "FLOPs gone", "before", "pruned", "recovered", "seconds")
    table = Table(*columns, box=None)
    for way in options.ways:
        rows = [measured(options, way, seed) for seed in options.seeds]
        table.add_row(way, *cells(rows))
    title = f"{Path(options.model).name} on {Path(options.task).stem}"
    console = Console(width=120)
    console.print(f"{title}, {options.sparsity:.0%} of the encoder's FLOPs, seeds {options.seeds}")
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="a fine-tuned model; it teaches, too")
    parser.add_argument("task", help="its task file")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3, help="of the gates")
    parser.add_argument("--recover", type=int, default=3, help="epochs of distill, for all ways")
    parser.add_argument("--learning-rate", default="5e-5", help="of distill")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["gates", "gradient"])
    parser.add_argument("--directory", type=Path, default=Path("l0-pruning"))
    return parser.parse_args()


def measured(options: argparse.Namespace, way: str, seed: int) -> Row:
    """Prune and recover, and read what the steps recorded."""
    pruned = options.directory / f"{way}-{options.sparsity:g}-{seed}"
    recovered = pruned.with_name(f"{pruned.name}-recovered")
    common = ["--task", options.task, "--seed", str(seed)]
    step([*pruning(options, way), *common, "-o", str(pruned)])
    recovery = ["--teacher", options.model, "--epochs", str(options.recover)]
    rate = ["--learning-rate", options.learning_rate]
    step(["distill", str(pruned), *recovery, *rate, *common, "-o", str(recovered)])
    first, second = record(pruned), record(recovered)
    scores = [first["report"][when]["score"]["value"] for when in ("before", "after")]
    last = evaluated(recovered, options.task)
    gone = sizes_gone(options.model, pruned)
    return Row(*gone, (scores[0], scores[1], last), (first["seconds"], second["seconds"]))


def pruning(options: argparse.Namespace, way: str) -> list[str]:
    """Return the command that prunes this way, without recovery."""
    part = str(options.sparsity)
    if way == "gates":
        target = ["--target-sparsity", part, "--of", "flops"]
        return ["prune-l0", options.model, *target, "--epochs", str(options.epochs), "--recover=0"]
    budget = ["--units", "heads,ffn", "--budget", "flops", "--remove", part]
    return ["prune-heads", options.model, *budget, "--method", way, "--tune", "none"]


def step(words: Sequence[str]) -> str:
    """Run one command; its failure is this script's."""
    command = [sys.executable, "-m", "bertslim", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def record(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "provenance.json").read_text())
    return found


def evaluated(directory: Path, task: str) -> float:
    found: Mapping[str, Any] = json.loads(
        step(["evaluate", str(directory), "--task", task, "--json"])
    )
    return float(found["value"])


def sizes_gone(dense: str, pruned: Path) -> tuple[float, float]:
    """Return the part of the encoder's parameters and FLOPs that is gone."""
    whole, left = (load_model(open_checkpoint(place)).config for place in (dense, pruned))
    parameters = full_size("parameters", left) / full_size("parameters", whole)
    return 1 - parameters, 1 - full_size("flops", left) / full_size("flops", whole)


def cells(rows: Sequence[Row]) -> list[str]:
    """Medians over the seeds, and the range of the metrics."""
    metrics = [spread([row.metrics[at] for row in rows]) for at in range(3)]
    gone = [
        f"{statistics.median(row.parameters for row in rows):.1%}",
        f"{statistics.median(row.products for row in rows):.1%}",
    ]
    pruning_seconds, recovery_seconds = (
        statistics.median(row.seconds[at] for row in rows) for at in range(2)
    )
    return [*gone, *metrics, f"{pruning_seconds:.0f} + {recovery_seconds:.0f}"]


def spread(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.4f}"
    return (
        middle if min(values) == max(values) else f"{middle} ({min(values):.4f}-{max(values):.4f})"
    )


if __name__ == "__main__":
    main()
