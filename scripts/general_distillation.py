"""What general distillation adds: a small student before it has a task, copied or taught on text.

python scripts/general_distillation.py BACKBONE OUTPUT --task TASK.toml TEACHER [--task ...] ...

Every student has the same layers of the backbone. `copied` is left as it is; `tinybert` learns the
backbone's states from plain text; `distilbert` learns what a masked language model guesses: the
backbone after some epochs on that text. Then all learn each task in the same way, once for each
seed. Every run is a directory in OUTPUT, so that the script goes on where it stopped; further
options of `distill` can follow `--`, for what comes before the tasks.
"""

import argparse
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table
from steps import report_of

WAYS = ("copied", "tinybert", "distilbert")
ROOT = Path(__file__).parent.parent


def main() -> None:
    options = parse_options()
    console = Console(width=120)
    table = Table("text", "way", "tokens", *[Path(task).stem for task, _ in options.task], box=None)
    for text in options.text:
        for way in options.ways:
            start, read = general(options, text, way)
            cells = [learnt(options, start, *task) for task in options.task]
            table.add_row("" if way == "copied" else text.stem, way, f"{read:,}", *cells)
    console.print(
        f"student {options.student}; general distillation {options.general_epochs} epochs at "
        f"{options.general_learning_rate}, tasks {options.epochs} epochs at "
        f"{options.learning_rate}, seeds {', '.join(map(str, options.seeds))}. Tokens read before "
        "the task, and the mean of each task's metric, with the lowest and the highest"
    )
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("backbone", type=Path, help="a model that was not fine-tuned")
    parser.add_argument("output", type=Path)
    parser.add_argument("--task", nargs=2, action="append", required=True, metavar="PATH")
    shipped = ROOT / "configs" / "tasks" / "general.toml"
    parser.add_argument("--text", nargs="+", type=Path, default=[shipped], metavar="TASK.toml")
    parser.add_argument("--student", default="layers=3")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--general-epochs", type=int, default=3)
    parser.add_argument("--general-learning-rate", type=float, default=1e-4)
    parser.add_argument("--words-epochs", type=int, default=3, help="of distilbert's teacher")
    parser.add_argument("--alpha", type=float, default=0.0, help="of the teacher, in the tasks")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("more", nargs="*", help="further options of distill, behind --")
    return parser.parse_intermixed_args()


def general(options: argparse.Namespace, text: Path, way: str) -> tuple[list[str], int]:
    """Return what a task's student is made of, and how many tokens it has read before."""
    backbone = str(options.backbone)
    if way == "copied":
        return [backbone, "--student", options.student], 0
    teacher = words(options, text) if way == "distilbert" else options.backbone
    output = options.output / f"{text.stem}-{way}"
    more = ["--teacher", str(teacher), "--task", str(text), "--student", options.student]
    more += ["--objective", way, "--epochs", str(options.general_epochs)]
    more += ["--learning-rate", str(options.general_learning_rate)]
    more += [*batches(options), *options.more]
    done = report_of(["distill", str(teacher), *more], output)
    return [str(output)], int(done["training"]["tokens"])


def words(options: argparse.Namespace, text: Path) -> Path:
    """Make a masked language model of the backbone."""
    output: Path = options.output / f"{text.stem}-words"
    more = ["--task", str(text), "--epochs", str(options.words_epochs)]
    report_of(["finetune", str(options.backbone), *more, *batches(options)], output)
    return output


def learnt(options: argparse.Namespace, start: list[str], task: str, teacher: str) -> str:
    """Let a student learn a task with each seed; return its metric."""
    values = []
    for seed in options.seeds:
        source, *shape = start
        output = options.output / "-".join([Path(source).name, Path(task).stem, str(seed)])
        more = ["--teacher", teacher, "--task", task, *shape, "--seed", str(seed)]
        more += ["--alpha", str(options.alpha), "--epochs", str(options.epochs)]
        more += ["--learning-rate", str(options.learning_rate), *batches(options)]
        done = report_of(["distill", source, *more], output)
        values.append(done["after"]["score"]["value"])
    return f"{statistics.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})"


def batches(options: argparse.Namespace) -> list[str]:
    return ["--batch-size", str(options.batch_size)]


if __name__ == "__main__":
    main()
