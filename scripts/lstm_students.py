"""What a teacher adds to a recurrent student, and how much faster the student is.

python scripts/lstm_students.py TEACHER TASK.toml OUTPUT [--student bilstm] [--ways WAY ...]
    [--seeds 0 1 2] ...

One student three times: taught by labels alone, by the teacher's logits (Tang et al. 2019), and by
its probabilities; the last two also learn from --unlabelled text, if there is some. All are scored
on the task's validation data. Then `bench` times the teacher and a student in turns, in PyTorch, in
batches of 1 and 32 of the task's own rows. Every run is a directory in OUTPUT, so that the script
goes on where it stopped; further options of `distill` can follow `--`.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from steps import printed, report_of

LABELS = "labels alone"
WAYS = {
    LABELS: ["--alpha", "0"],
    "logits": ["--alpha", "1", "--weight", "soft=0", "--weight", "mse=1"],
    "probabilities": ["--alpha", "1", "--temperature", "1"],
}
"""What each way adds to the shared options."""


def main() -> None:
    options = parse_options()
    reports = {way: [report(options, way, seed) for seed in options.seeds] for way in options.ways}
    first = next(iter(reports.values()))[0]
    score = first["teacher"]["score"]
    console = Console(width=120)
    console.print(
        f"{options.task.stem}, student {options.student}: {first['after']['parameters']:,} "
        f"parameters, the teacher {first['teacher']['parameters']:,}; seeds "
        f"{', '.join(map(str, options.seeds))}; the teacher's {score['metric']} is "
        f"{score['value']:.4f}"
    )
    table = Table("way", score["metric"], "lowest", "highest", "of the teacher's", box=None)
    for way, found in reports.items():
        table.add_row(way, *cells(found))
    console.print(table)
    for batch, ratio in speed_ratios(options).items():
        console.print(f"batch {batch}: {ratio:.1f} times as fast as the teacher")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--student", default="bilstm")
    parser.add_argument("--unlabelled", type=Path)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("more", nargs="*", help="further options of distill, behind --")
    return parser.parse_intermixed_args()


def report(options: argparse.Namespace, way: str, seed: int) -> dict[str, Any]:
    """Train a student, unless it is there, and return its report."""
    output, teacher = student_path(options, way, seed), str(options.teacher)
    words = ["distill", teacher, "--teacher", teacher, "--task", str(options.task)]
    words += ["--student", options.student, "--seed", str(seed)]
    words += ["--cache", str(options.output / "answers"), *WAYS[way], *options.more]
    if options.unlabelled and way != LABELS:
        words += ["--unlabelled", str(options.unlabelled)]
    return report_of(words, output)


def student_path(options: argparse.Namespace, way: str, seed: int) -> Path:
    path: Path = options.output / "-".join([*way.split(), str(seed)])
    return path


def cells(reports: list[dict[str, Any]]) -> list[str]:
    """Median metric over the seeds, its range, and retention."""
    values = [report["after"]["score"]["value"] for report in reports]
    kept = statistics.median(report["retention"] for report in reports)
    figures = [statistics.median(values), min(values), max(values)]
    return [*(f"{value:.4f}" for value in figures), f"{kept:.1%}"]


def speed_ratios(options: argparse.Namespace) -> dict[int, float]:
    """Time a student beside its teacher; return the ratio by batch size."""
    student = student_path(options, options.ways[-1], options.seeds[0])
    words = ["bench", str(options.teacher), str(student), "--task", str(options.task)]
    words += ["--runtime", "torch", "--batch", "1,32", "--length", "task", "--no-memory", "--json"]
    rows = json.loads(printed(words))["rows"]
    # ratios are to the first candidate, the teacher; the last row of a size is the student's
    return {row["shape"]["batch_size"]: row["latency"]["speedup"] for row in rows}


if __name__ == "__main__":
    main()
