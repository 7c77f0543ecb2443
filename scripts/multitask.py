"""What tasks gain or lose by sharing a student: one for all of them, and one for each alone.

python scripts/multitask.py OUTPUT --tasks A.toml B.toml --teachers MODEL_A MODEL_B
    [--source MODEL] [--student attentive-lstm] [--balance 1] [--seeds 0 1 2] ...

All students have one shape and learn the teachers' logits, |z - v|^2. With --balance 1 a shared
student takes of each task as many steps as the student of that task alone; the whole run is longer,
and its learning rate falls more slowly. One teacher may be there for all tasks, if `finetune` made
it of them. The metrics are those of the tasks' validation data. Every run is a directory in OUTPUT,
so that the script goes on where it stopped; further options of `distill` can follow `--`.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from steps import report_of

LOGITS = ["--alpha", "1", "--weight", "soft=0", "--weight", "mse=1"]

Reports = dict[str, list[dict[str, Any]]]
"""By the task's name, what is told of it for each seed."""


def main() -> None:
    options = parse_options()
    shared, alone = shared_students(options), lone_students(options)
    first = next(iter(shared.values()))[0]
    console = Console(width=120)
    console.print(
        f"student {options.student}, {first['after']['parameters']:,} parameters for one task; "
        f"balance {options.balance}; seeds {', '.join(map(str, options.seeds))}"
    )
    table = Table("task", "metric", "teacher", "alone", "shared", "difference", box=None)
    for name in shared:
        score = shared[name][0]["teacher"]["score"]
        values = [values_of(reports[name]) for reports in (alone, shared)]
        table.add_row(name, score["metric"], f"{score['value']:.4f}", *cells(*values))
    teacher = statistics.fmean(r[0]["teacher"]["score"]["value"] for r in shared.values())
    means = [means_of(reports) for reports in (alone, shared)]
    table.add_row("mean", "", f"{teacher:.4f}", *cells(*means))
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tasks", nargs="+", type=Path, required=True)
    parser.add_argument("--teachers", nargs="+", required=True)
    parser.add_argument("--source", help="INPUT of all students; the first teacher, if not given")
    parser.add_argument("--student", default="attentive-lstm")
    parser.add_argument("--balance", type=float, default=1.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("more", nargs="*", help="further options of distill, behind --")
    return parser.parse_intermixed_args()


def shared_students(options: argparse.Namespace) -> Reports:
    """Train one student of all tasks for each seed, unless it is there."""
    tasks = repeated("--task", options.tasks)
    words = [*tasks, *repeated("--teacher", options.teachers), "--balance", str(options.balance)]
    found = [student(options, "shared", seed, words)["tasks"] for seed in options.seeds]
    return {task.stem: [tasks[task.stem] for tasks in found] for task in options.tasks}


def lone_students(options: argparse.Namespace) -> Reports:
    """Train a student of each task for each seed, unless it is there."""
    teachers = options.teachers * (len(options.tasks) // len(options.teachers))
    return {
        task.stem: [
            student(options, task.stem, seed, ["--task", str(task), "--teacher", teacher])
            for seed in options.seeds
        ]
        for task, teacher in zip(options.tasks, teachers, strict=True)
    }


def student(
    options: argparse.Namespace, name: str, seed: int, words: Sequence[str]
) -> dict[str, Any]:
    """Train a student, unless it is there, and return its report."""
    source = options.source or options.teachers[0]
    asked = ["distill", source, *words, "--student", options.student, "--seed", str(seed)]
    asked += ["--cache", str(options.output / "answers"), *LOGITS, *options.more]
    return report_of(asked, options.output / f"{name}-{seed}")


def repeated(flag: str, values: Sequence[str | Path]) -> list[str]:
    return [word for value in values for word in (flag, str(value))]


def values_of(reports: Sequence[dict[str, Any]]) -> list[float]:
    """Return the metric after training, seed by seed."""
    return [report["after"]["score"]["value"] for report in reports]


def means_of(reports: Reports) -> list[float]:
    """Return the mean over the tasks, seed by seed."""
    by_seed = zip(*(values_of(own) for own in reports.values()), strict=True)
    return [statistics.fmean(values) for values in by_seed]


def cells(alone: Sequence[float], shared: Sequence[float]) -> list[str]:
    """Return median and range of both, and the median of their differences, seed by seed."""
    pairs = zip(alone, shared, strict=True)
    difference = statistics.median(b - a for a, b in pairs)
    return [spread(alone), spread(shared), f"{difference:+.4f}"]


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main()
