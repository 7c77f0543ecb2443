"""Whether replacing by and by is worth it: beside a constant rate, and the same successor alone.

python scripts/theseus.py MODEL TASK.toml [--successor layers=1/2] [--seeds 0 1 2]
    [--ways linear constant alone] [--output DIR]
    [-- more options of `bertslim theseus`, such as --epochs 3 --learning-rate 1e-4]

All ways have the same steps, learning rates and data, and leave embeddings and head alone; `alone`
is the successor fine-tuned from the first step on. Each run is a directory in DIR: an interrupted
script goes on where it was, and what is there is not done again.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bertslim.cli import main as bertslim

WAYS: Mapping[str, Sequence[str]] = {
    "linear": (),
    "constant": ("--schedule", "constant", "--rate", "0.5"),
    "alone": ("--schedule", "constant", "--rate", "1"),
    "anti": ("--schedule", "anti"),
    "linear + KD": ("--distill", "0.5"),
    "alone + KD": ("--schedule", "constant", "--rate", "1", "--distill", "0.5"),
}


def main() -> None:
    options, more = parse_options()
    results = {
        way: [run(options, way, seed, more) for seed in options.seeds] for way in options.ways
    }
    first = next(iter(results.values()))[0]
    console = Console(width=110)
    console.print(
        f"{options.model}: {options.successor}, seeds {' '.join(map(str, options.seeds))}"
    )
    console.print(smaller(first))
    console.print(table(results, first["before"]["score"]))


def parse_options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path, help="fine-tuned on the task: the predecessor")
    parser.add_argument("task", type=Path)
    parser.add_argument("--successor", default="layers=1/2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["linear", "constant", "alone"])
    parser.add_argument("--output", type=Path, default=Path("build/theseus"))
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]


def run(options: argparse.Namespace, way: str, seed: int, more: Sequence[str]) -> dict[str, Any]:
    """Let the command do it, or find it done; return its report."""
    words = [options.model.name, options.successor, way, f"seed{seed}"]
    place = options.output / "-".join(words).replace("/", "of").replace(" ", "")
    given = ["--task", options.task, "--successor", options.successor, "--seed", seed, "-o", place]
    code = bertslim(["theseus", str(options.model), *map(str, given), *WAYS[way], *more])
    if code:
        sys.exit(code)
    report: dict[str, Any] = json.loads((place / "provenance.json").read_text())["report"]
    return report


def smaller(report: Mapping[str, Any]) -> str:
    """Say what the successor costs."""
    before, after = report["before"], report["after"]
    parameters, flops = (after[what] / before[what] for what in ("parameters", "flops"))
    return f"parameters {100 * parameters:.1f} %, FLOPs at 128 tokens {100 * flops:.1f} %"


def table(results: Mapping[str, Sequence[Mapping[str, Any]]], before: Mapping[str, Any]) -> Table:
    """One line for each way: the mean over seeds, their range, and the share kept."""
    found = Table("", f"{before['metric']}, mean", "lowest", "highest", "kept", box=None)
    for column in found.columns[1:]:
        column.justify = "right"
    whole = before["value"]
    found.add_row("predecessor", f"{whole:.4f}", "", "", "")
    for way, reports in results.items():
        values = [report["after"]["score"]["value"] for report in reports]
        mean = statistics.mean(values)
        figures = (mean, min(values), max(values))
        found.add_row(way, *(f"{value:.4f}" for value in figures), f"{100 * mean / whole:.1f} %")
    return found


if __name__ == "__main__":
    main()
