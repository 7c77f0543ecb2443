"""What a precision costs: the metric of the engine itself, and of the float model.

Each row is a model on the validation data of its task. What has ranges is calibrated on training
rows. int8 is that of `bertslim quantize`; the plain ways do without smoothing, and leave the
insides of attentions in float. fp16 is the graph that TensorRT gets, computed by ONNX Runtime.

python scripts/int8_accuracy.py MODEL TASK.toml [MODEL TASK.toml ...] [--ways openvino entropy]
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bertslim.commands.deploying import Place, engine_for
from bertslim.commands.forms import form_for, usual_int8
from bertslim.errors import UnavailableError
from bertslim.graph.emit import emit
from bertslim.graph.form import Form
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.half import half_islands
from bertslim.methods.quantize.observe import Rows
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, Sample, load_tokenizer, read_examples, score_run
from bertslim.train.prediction import Score
from bertslim.train.task import load_task


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is written down and run."""

    place: Place
    int8: Callable[[str], Quantize] | None = None
    """How it is calibrated, by the model's architecture."""


def plain(method: Calibration) -> Way:
    settings = Quantize(method, products=False, smooth=False, scheme="symmetric")
    return Way(Place("openvino", "int8", ""), lambda _: settings)


WAYS: Mapping[str, Way] = {
    "fp32": Way(Place("openvino", "fp32", "")),
    "fp16": Way(Place("tensorrt", "fp16", "")),
    "bf16": Way(Place("openvino", "bf16", "")),
    "openvino": Way(Place("openvino", "int8", ""), partial(usual_int8, "openvino")),
    "onnxruntime": Way(Place("onnxruntime", "int8", ""), partial(usual_int8, "onnxruntime")),
    "entropy": plain(Calibration("entropy")),
    "percentile": plain(Calibration("percentile")),
    "mse": plain(Calibration("mse")),
    "minmax": plain(Calibration("minmax")),
}
SHOWN: Mapping[str, tuple[str, ...]] = {"text-regression": ("spearman", "pearson")}
"""Metrics by the kind of task; that of the task where it is not here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("pairs", nargs="+", help="MODEL TASK.toml, as many as you like")
    parser.add_argument("--examples", type=int, default=256, help="training rows to calibrate on")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    options = parser.parse_args()
    print("task", "metric", "rows", *options.ways, sep="  ")
    for model, file in zip(options.pairs[::2], options.pairs[1::2], strict=True):
        task = load_task(Path(file))
        ways = [WAYS[name] for name in options.ways]
        found = list(scores(model, Path(file), ways, options.examples))
        rows = next(score.examples for score in found if score)
        for metric in SHOWN.get(task.kind, (task.metric,)):
            cells = [f"{score.metrics[metric]:.4f}" if score else "none here" for score in found]
            print(task.name, metric, f"{rows:,}", *cells, sep="  ", flush=True)


def scores(directory: str, file: Path, ways: list[Way], examples: int) -> Iterator[Score | None]:
    """Yield what the model has each way; None where this machine lacks the precision."""
    checkpoint, task = open_checkpoint(directory), load_task(file)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint.path)
    reported = read_examples(task, "validation", model, tokenizer)
    drawn = read_examples(task, "train", model, tokenizer, Sample(examples, seed=0))
    rows = Rows(drawn.encoded, 16, drawn.masking)
    for way in ways:
        yield score(model, way, form_of(model, way, rows), reported)


def form_of(model: SlimBertPreTrainedModel, way: Way, rows: Rows) -> Form:
    target, precision = way.place.target, way.place.precision
    if precision == "fp16":
        return form_for(target, precision, islands=frozenset(half_islands(model, rows).islands))
    if way.int8 is None:
        return form_for(target, precision)
    quantization, _ = quantize(model, way.int8(type(model).__name__), rows)
    return form_for(target, precision, quantization)


def score(model: SlimBertPreTrainedModel, way: Way, form: Form, reported: Examples) -> Score | None:
    """Score the engine of a form."""
    graph = emit(model, form).SerializeToString()
    try:
        engine = engine_for(model, graph, way.place)
    except UnavailableError:
        return None
    try:
        return score_run(engine.run, reported, resamples=0)
    finally:
        engine.close()


if __name__ == "__main__":
    main()
