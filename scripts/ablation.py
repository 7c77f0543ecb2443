"""What each part of TinyBERT's task distillation is worth: its losses, its halves, more texts.

python scripts/ablation.py TEACHER TASK.toml OUTPUT [--model MASKED-LM] [--seeds 0 1 2]
    [--student layers=3,hidden=192,heads=12] [--copies 5] [--epochs 2] [--prediction-epochs 1] ...

As in the paper's ablation (Jiao et al. 2020, tables 2 and 3) one part is left out at a time. Every
way learns states for --epochs, then answers for --prediction-epochs, on the task's texts and the
copies that `augment` makes of them: with --model by its masked-LM replacement, otherwise by Tang's
rules. Where there are no copies, epochs are so many more that the steps are as many. A seed decides
which rows are held out to choose by, which copies are made, and the order. The metric is that of
the task's validation data. Every run is a directory in OUTPUT, so that the script goes on where it
stopped.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from steps import report_of


@dataclass(frozen=True, slots=True)
class Way:
    """What is left out of the whole.

    Attributes:
        without: Losses of the first half.
        states: Whether there is a first half.
        logits: Whether the second half learns from the teacher; else from labels.
        copies: Whether there are more texts.
    """

    without: tuple[str, ...] = ()
    states: bool = True
    logits: bool = True
    copies: bool = True


WHOLE = "everything"
WAYS: Mapping[str, Way] = {
    WHOLE: Way(),
    "no embeddings": Way(without=("embeddings",)),
    "no attention": Way(without=("attention",)),
    "no hidden states": Way(without=("hidden",)),
    "no layers": Way(without=("attention", "hidden")),
    "no states": Way(states=False),
    "no logits": Way(logits=False),
    "no copies": Way(copies=False),
}


def main() -> None:
    options = parse_options()
    results = {way: [result(options, way, s) for s in options.seeds] for way in options.ways}
    first = next(iter(results.values()))[0]
    console = Console(width=120)
    console.print(
        f"{options.task.stem}, student {options.student}: "
        f"{first['after']['parameters'] / first['teacher']['parameters']:.0%} of the teacher's "
        f"parameters; seeds {', '.join(map(str, options.seeds))}"
    )
    score = first["teacher"]["score"]
    console.print(f"{score['metric']}: teacher {score['value']:.4f}")
    table = Table("", score["metric"], "lowest", "highest", f"to {WHOLE}", "kept", box=None)
    for way, reports in results.items():
        table.add_row(way, *cells(reports, results.get(WHOLE)))
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("task", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path, help="a masked language model to augment with")
    parser.add_argument("--student", default="layers=3,hidden=192,heads=12")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="of the first half, on all texts")
    parser.add_argument("--prediction-epochs", type=int, default=1, help="of the second half")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--prediction-rate", type=float, default=5e-5)
    return parser.parse_args()


def result(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Run both halves of a way, unless they are there, and return the last report."""
    way = WAYS[name]
    copies = options.output / f"copies-{seed}"
    grown = augmented(options, copies, seed)
    pool = ["--unlabelled", str(copies)] if way.copies else []
    longer = 1.0 if way.copies else grown
    place = options.output / f"{name.replace(' ', '-')}-{seed}"
    student, shape = options.teacher, ["--student", options.student]
    if way.states:
        states = Path(f"{place}-states")
        losses = [word for term in way.without for word in ("--weight", f"{term}=0")]
        rate = ["--learning-rate", str(options.learning_rate), "--warmup", "0"]
        epochs = ["--epochs", str(round(options.epochs * longer))]
        words = ["--objective", "tinybert", *losses, *rate, *epochs, *shape, *pool]
        distilled(options, student, states, seed, words)
        student, shape = states, []
    # labels are those of the rows; there are none for copies
    taught = ["--alpha", "1", *pool] if way.logits else ["--alpha", "0"]
    longer = longer if way.logits else grown
    rate = ["--learning-rate", str(options.prediction_rate)]
    epochs = ["--epochs", str(round(options.prediction_epochs * longer))]
    words = ["--temperature", "1", *taught, *rate, *epochs, *shape]
    words += ["--cache", str(options.output / "answers")]
    return distilled(options, student, place, seed, words)


def augmented(options: argparse.Namespace, place: Path, seed: int) -> float:
    """Make the copies of a seed; return how many times as many texts there are then."""
    words = ["augment", "--task", str(options.task), "--copies", str(options.copies)]
    words += ["--method", "tang" if options.model is None else "tinybert"]
    words += [] if options.model is None else ["--model", str(options.model)]
    report = report_of([*words, "--seed", str(seed)], place)
    return 1 + float(report["copies"]) / float(report["rows"])


def distilled(
    options: argparse.Namespace, student: Path, place: Path, seed: int, more: Sequence[str]
) -> dict[str, Any]:
    words = ["distill", str(student), "--teacher", str(options.teacher), "--seed", str(seed)]
    words += ["--task", str(options.task)]
    return report_of([*words, *more], place)


def cells(
    reports: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]] | None
) -> list[str]:
    """Mean metric over the seeds, its range, the mean difference to the whole, and retention."""
    values = [value(report) for report in reports]
    figures = [statistics.mean(values), min(values), max(values)]
    gain = ""
    if whole is not None:
        pairs = zip(values, map(value, whole), strict=True)
        gain = f"{statistics.mean(mine - theirs for mine, theirs in pairs):+.4f}"
    kept = statistics.mean(report["retention"] for report in reports)
    return [*(f"{figure:.4f}" for figure in figures), gain, f"{kept:.1%}"]


def value(report: Mapping[str, Any]) -> float:
    return float(report["after"]["score"]["value"])


if __name__ == "__main__":
    main()
