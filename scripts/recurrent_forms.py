"""What forms of a recurrent model's graph are worth: letters by convolution or table, int8 LSTMs.

python scripts/recurrent_forms.py [--hidden 150,300,600] [--batch 1,32] [--length 32] [--seconds 2]

Models are random taggers of one BiLSTM over words of 300 channels; what is compared runs in turns,
on one thread. On a machine with other work read the times of the CPU, with --cpu-time.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

import torch
from rich.console import Console
from rich.table import Table

from bertslim.graph.emit import emit
from bertslim.graph.form import Form
from bertslim.methods.quantize.recurrent import known_ranges
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.modeling import SlimLstmForTokenClassification
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.engine import EngineSettings, Source, build
from bertslim.runtime.timing import Budget, summarise, time_rounds

WORDS, WIDTH, CHARACTERS = 8000, 300, 100
Model = SlimLstmForTokenClassification


def main() -> None:
    options = parse_options()
    console = Console(width=100)
    for hidden, batch in product(options.hidden, options.batch):
        table = Table("graph", "ms", "times as fast as the first", box=None)
        table.title = f"2 x {hidden} channels, batch {batch} x {options.length} words"
        for row in measured(hidden, batch, options):
            table.add_row(*row)
        console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--hidden", type=numbers, default="150,300,600")
    parser.add_argument("--batch", type=numbers, default="1,32")
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2, help="for each graph")
    parser.add_argument("--cpu-time", action="store_true", help="time of the CPU, not the clock")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def measured(hidden: int, batch: int, options: argparse.Namespace) -> list[tuple[str, str, str]]:
    model = random_tagger(hidden)
    words = full_batch(model.config, batch, options.length, seed=0)
    runs: dict[str, Callable[[], object]] = {
        name: partial(engine_run(model, *made), words) for name, made in forms(model).items()
    }
    clock = time.process_time if options.cpu_time else time.perf_counter
    times = time_rounds(runs, Budget(options.seconds, warm_up=2, least_rounds=5), clock)
    first = next(iter(times.values()))
    rows = []
    for name, each in times.items():
        found = summarise(each, first, 1)
        spread = f"{found.speedup:.2f} ({found.speedup_low:.2f}-{found.speedup_high:.2f})"
        rows.append((name, f"{found.p50:.2f}", spread))
    return rows


def forms(model: Model) -> Mapping[str, tuple[str, str, Form]]:
    """Runtime, precision and form, by what is said of them."""
    ranges = known_ranges(model)
    own = partial(Form, dialect="onnxruntime", letters="table")
    return {
        "onnxruntime fp32, convolution": ("onnxruntime", "fp32", Form()),
        "onnxruntime fp32, table": ("onnxruntime", "fp32", own()),
        "onnxruntime int8, LSTM in float": ("onnxruntime", "int8", own(quantization=ranges)),
        "onnxruntime int8, LSTM in int8": (
            "onnxruntime",
            "int8",
            own(quantization=ranges, dynamic=True),
        ),
        "openvino fp32": ("openvino", "fp32", Form(letters="table")),
        "openvino int8": ("openvino", "int8", Form(letters="table", quantization=ranges)),
    }


def engine_run(model: Model, runtime: str, precision: str, form: Form) -> Callable[..., object]:
    graph = emit(model, form).SerializeToString()
    source = Source(model, graph=lambda *_: graph)
    return build(runtime, precision, source, EngineSettings(threads=1)).run


def random_tagger(hidden: int) -> Model:
    torch.manual_seed(0)
    config = SlimLstmConfig(
        vocab_size=WORDS,
        embedding_size=WIDTH,
        hidden_size=hidden,
        characters=CHARACTERS,
    )
    config.num_labels = 9
    model = SlimLstmForTokenClassification(config)
    model.lstm.embeddings.spellings.random_(1, CHARACTERS)
    model.train(mode=False)
    return model


if __name__ == "__main__":
    main()
