"""What int8 costs, by the way its ranges are chosen: the metric of the engine itself, on OpenVINO.

Each row is a model on the validation data of its task. Ranges are calibrated on training rows.

python scripts/int8_accuracy.py MODEL TASK.toml [MODEL TASK.toml ...] [--ways default entropy]
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bertslim.commands.forms import usual_int8
from bertslim.graph.emit import emit
from bertslim.graph.form import PLAIN, Form
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.observe import Rows
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.runtime.engine import EngineSettings, Source, build
from bertslim.runtime.machine import available_cores
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, Sample, load_tokenizer, read_examples, score_run
from bertslim.train.task import load_task

PLAIN_MSE = Quantize(Calibration("mse"), products=False, smooth=False, scheme="symmetric")
WAYS: dict[str, Quantize] = {
    "default": usual_int8("openvino"),
    "mse": PLAIN_MSE,
    "entropy": replace(PLAIN_MSE, calibration=Calibration("entropy")),
    "percentile": replace(PLAIN_MSE, calibration=Calibration("percentile")),
    "minmax": replace(PLAIN_MSE, calibration=Calibration("minmax")),
}
"""`default` is `quantize`'s: entropy, smoothed, attentions int8 inside. The others are plain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("pairs", nargs="+", help="MODEL TASK.toml, as many as you like")
    parser.add_argument("--examples", type=int, default=256, help="training rows to calibrate on")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    options = parser.parse_args()
    console = Console(width=140)
    console.print("task", "metric", "rows", "fp32", "bf16", *options.ways, sep="  ")
    for model, task in zip(options.pairs[::2], options.pairs[1::2], strict=True):
        found = cells(model, Path(task), options.examples, options.ways)
        console.print(Path(task).stem, *found, sep="  ")


def cells(directory: str, file: Path, examples: int, ways: Sequence[str]) -> Iterator[str]:
    """Yield the metric's name, the number of rows, and the metric in float and in each way."""
    checkpoint, task = open_checkpoint(directory), load_task(file)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint.path)
    reported = read_examples(task, "validation", model, tokenizer)
    drawn = read_examples(task, "train", model, tokenizer, Sample(examples, seed=0))
    yield task.metric
    yield f"{len(reported.data):,}"
    for precision in ("fp32", "bf16"):
        yield f"{metric(model, PLAIN, precision, reported):.4f}"
    for way in ways:
        rows = Rows(drawn.encoded, 16, drawn.masking)
        quantization, _ = quantize(model, WAYS[way], rows)
        yield f"{metric(model, Form(quantization=quantization), 'int8', reported):.4f}"


def metric(model: SlimBertPreTrainedModel, form: Form, precision: str, reported: Examples) -> float:
    """Score the engine of a form."""
    graph = emit(model, form).SerializeToString()
    source = Source(model, graph=lambda *_: graph)
    engine = build("openvino", precision, source, EngineSettings(available_cores()))
    try:
        return score_run(engine.run, reported, resamples=0).value
    finally:
        engine.close()


if __name__ == "__main__":
    main()
