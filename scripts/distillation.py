"""What a teacher adds: one student, taught by labels alone, by logits, and by states as well.

python scripts/distillation.py TEACHER TASK.toml OUTPUT [--seeds 0 1 2] [--epochs 3] ...

All ways start from the same cut of the teacher and take the same steps; a seed decides which rows
are held out to choose the epoch by, and the order of the others. The metric is that of the task's
validation data. Every run is a directory in OUTPUT, so that the script goes on where it stopped.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from steps import report_of

WAYS = {
    "labels alone": ["--alpha", "0"],
    "logits": ["--objective", "logits"],
    "pkd, skip": ["--objective", "pkd", "--match", "skip"],
    "pkd, last": ["--objective", "pkd", "--match", "last"],
    "distilbert": ["--objective", "distilbert"],
}
"""What each way adds to the shared options."""


def main() -> None:
    options = parse_options()
    reports = {way: [report(options, way, seed) for seed in options.seeds] for way in options.ways}
    first = next(iter(reports.values()))[0]
    metric, teacher = first["teacher"]["score"]["metric"], first["teacher"]
    share = first["after"]["parameters"] / teacher["parameters"]
    console = Console(width=120)
    console.print(
        f"{options.task.stem}, student {options.student}: {share:.0%} of the teacher's parameters, "
        f"{first['after']['flops'] / teacher['flops']:.0%} of its FLOPs; {options.epochs} epochs, "
        f"learning rate {options.learning_rate}, seeds {', '.join(map(str, options.seeds))}"
    )
    console.print(
        f"{metric}: teacher {teacher['score']['value']:.4f}, student before training "
        f"{first['before']['score']['value']:.4f}"
    )
    table = Table("way", metric, "lowest", "highest", "of the teacher's", "seconds", box=None)
    for way, found in reports.items():
        table.add_row(way, *cells(found))
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--student", default="layers=3")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=32)
    return parser.parse_args()


def report(options: argparse.Namespace, way: str, seed: int) -> dict[str, Any]:
    """Train a student, unless it is there, and return its report."""
    name = "-".join([*way.replace(",", "").split(), str(seed)])
    output = options.output / name
    teacher = str(options.teacher)
    words = ["distill", teacher, "--teacher", teacher, "--task", str(options.task)]
    words += ["--student", options.student, "--seed", str(seed)]
    words += ["--cache", str(options.output / "answers"), "--epochs", str(options.epochs)]
    words += ["--learning-rate", str(options.learning_rate)]
    words += ["--batch-size", str(options.batch_size), *WAYS[way]]
    return report_of(words, output)


def cells(reports: list[dict[str, Any]]) -> list[str]:
    """Median metric over the seeds, its range, retention, and the time in steps."""
    values = [report["after"]["score"]["value"] for report in reports]
    kept = statistics.median(report["retention"] for report in reports)
    seconds = statistics.median(report["training"]["seconds"] for report in reports)
    figures = [statistics.median(values), min(values), max(values)]
    return [*(f"{value:.4f}" for value in figures), f"{kept:.1%}", f"{seconds:,.0f}"]


if __name__ == "__main__":
    main()
