"""What heads are worth: the metric at every tenth that goes, in three orders, and what that costs.

python scripts/head_curves.py MODEL TASK.toml [MODEL TASK.toml ...] [--score token] [--picture DIR]

Nothing is retrained. Heads are scored on training rows; the metric is that of the validation data.
The cost is the processor's time of the whole curve, over that of training for one epoch, in the
same run, on as many examples as the curve passed through the model, forwards or both ways.
"""

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from bertslim.console import Verbosity, verbosity
from bertslim.methods.prune_heads.curve import Curve, HeadCurve, head_curve
from bertslim.methods.prune_heads.draw_curve import curve_picture
from bertslim.methods.prune_heads.evidence import evidence_from
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.encoding import mask_tokens
from bertslim.train.examples import Examples, Sample, load_tokenizer, read_examples, score_model
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.settings import TrainSettings
from bertslim.train.task import load_task

T = TypeVar("T")

EPOCH = TrainSettings(
    epochs=1,
    batch_size=32,
    accumulation=1,
    learning_rate=5e-5,
    weight_decay=0.01,
    warmup=0.1,
    clip=1.0,
    dropout=0.0,
    freeze_embeddings=False,
    precision="auto",
    seed=0,
    device="cpu",
)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One model with the data of its task."""

    name: str
    model: SlimBertPreTrainedModel
    scored: Examples
    reported: Examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("pairs", nargs="+", help="MODEL TASK.toml, as many as you like")
    parser.add_argument("--examples", type=int, default=2048, help="training rows to score on")
    parser.add_argument("--score", choices=("example", "token"), default="example")
    parser.add_argument("--keep-at-least", type=int, default=1, help="heads of every layer")
    parser.add_argument("--epoch-rows", type=int, default=512, help="training rows to time")
    parser.add_argument("--picture", type=Path, help="a directory for the curves")
    options = parser.parse_args()
    verbosity.set(Verbosity.QUIET)
    for model, task in zip(options.pairs[::2], options.pairs[1::2], strict=True):
        show(read(model, Path(task), options.examples), options)


def read(directory: str, file: Path, examples: int) -> Subject:
    checkpoint, task = open_checkpoint(directory), load_task(file)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint.path)
    scored = read_examples(task, "train", model, tokenizer, Sample(examples, seed=0))
    reported = read_examples(task, "validation", model, tokenizer)
    return Subject(task.name, model, scored, reported)


def show(subject: Subject, options: argparse.Namespace) -> None:
    """Print one task's curves as they are done."""
    findings: dict[str, Any] = {}
    settings = HeadCurve(options.keep_at_least, seed=0)
    evidence = evidence_from(subject.scored, options.score, EPOCH.batch_size)
    whole = score_model(subject.model, subject.reported)
    model, reported = subject.model, subject.reported
    curve, seconds = timed(lambda: head_curve(model, settings, evidence, reported, whole, findings))
    console = Console(width=160)
    console.print(table(subject.name, curve))
    passed = rows_passed(findings, subject)
    epoch = seconds_per_row(subject, options.epoch_rows) * passed
    console.print(
        f"{subject.name}: {seconds:.0f} s for {passed:,} rows, {seconds / epoch:.2f} of the "
        f"{epoch:.0f} s that training on as many takes"
    )
    if options.picture:
        options.picture.mkdir(parents=True, exist_ok=True)
        picture = options.picture / f"{subject.name}.svg"
        picture.write_text(curve_picture(curve), encoding="utf-8")


def table(name: str, curve: Curve) -> Table:
    shares = [f"{100 * point.removed / curve.heads:.0f} %" for point in curve.points]
    made = Table(f"{name}, {curve.whole.metric}", *shares, box=None)
    made.add_row("iterative", *(f"{point.iterative:.4f}" for point in curve.points))
    made.add_row("once", *(f"{point.once:.4f}" for point in curve.points))
    made.add_row("random, mean", *(f"{point.random.mean:.4f}" for point in curve.points))
    made.add_row("random, lowest", *(f"{point.random.low:.4f}" for point in curve.points))
    made.add_row("random, highest", *(f"{point.random.high:.4f}" for point in curve.points))
    return made


def rows_passed(findings: Mapping[str, Any], subject: Subject) -> int:
    """Count the rows of all scorings and evaluations."""
    scorings = sum(name.startswith("scores") for name in findings)
    evaluations = len(findings) - scorings
    reported, scored = subject.reported.encoded, subject.scored.encoded
    return scorings * len(scored) + evaluations * len(reported)


def seconds_per_row(subject: Subject, rows: int) -> float:
    """Time an epoch of training a copy; a first one warms up."""
    data = subject.scored.encoded
    some = data.select(range(min(rows, len(data))))
    model, masking = copy.deepcopy(subject.model), subject.scored.masking
    prepare = partial(mask_tokens, masking=masking) if masking else None
    for _ in range(2):
        _, seconds = timed(lambda: fit(model, some, labels_objective, EPOCH, prepare=prepare))
    return seconds / len(some)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what work does, and the processor's seconds: other processes do not count."""
    started = time.process_time()
    return work(), time.process_time() - started


if __name__ == "__main__":
    main()
