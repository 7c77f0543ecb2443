"""How long int8 calibration by entropy takes, and in how much memory: bertslim, ONNX Runtime.

python scripts/calibration.py [MODEL] [--layers 4] [--hidden 256] [--sequences 64] [--light]

Timed is the way from rows of 128 tokens to a threshold for the input of each matrix product, the
model being loaded. ONNX Runtime does what its quantize_static does by default: it calibrates all
tensors, and keeps them until the last row has been seen, 140 MB for each sequence at BERT-base's
size. With --light it calibrates products alone, a batch at a time. Each figure comes from a process
of its own; memory is what its peak grows by (Linux). Without MODEL the weights are random;
BERT-base is --layers 12 --hidden 768.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from datasets import Dataset
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, create_calibrator
from onnxruntime.quantization.registry import QDQRegistry
from rich.console import Console
from rich.table import Table

from bertslim.console import Verbosity, verbosity
from bertslim.graph.emit import emit, input_names
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.histogram import Histogram
from bertslim.methods.quantize.observe import Rows
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertForSequenceClassification, SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.precision import choose_precision

LENGTH, BATCH = 128, 8
ENTROPY = Calibration("entropy")
OUTLIERS = (60.0, -55.0)

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]
Feeds = Mapping[str, Ids | Values]


def main() -> None:
    options = parse_options()
    if options.child:
        verbosity.set(Verbosity.QUIET)
        print(json.dumps(CHILDREN[options.child](options)))
        return
    table = Table("calibration", "sequences", "seconds", "", "MB more", box=None)
    mine = child(options, "bertslim", options.sequences)
    theirs = child(options, "onnxruntime", options.sequences)
    many = child(options, "bertslim", options.many)
    ratio = f"{theirs['seconds'] / mine['seconds']:.1f} times as long"
    for name, figures, note in (
        (f"bertslim ({mine['precision']})", mine, ""),
        (f"ONNX Runtime ({theirs['precision']})", theirs, ratio),
        (f"bertslim ({many['precision']})", many, ""),
    ):
        seconds, megabytes = f"{figures['seconds']:.2f}", f"{figures['megabytes']:.0f}"
        table.add_row(name, str(figures["sequences"]), seconds, note, megabytes)
    Console().print(table)
    Console().print(outliers_table())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="instead of random weights")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--many", type=int, default=4096, help="to see whether memory grows")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument(
        "--light", action="store_true", help="spare ONNX Runtime what it need not do"
    )
    parser.add_argument("--child", choices=list(CHILDREN), help=argparse.SUPPRESS)
    return parser.parse_args()


def child(options: argparse.Namespace, name: str, sequences: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, *map(str, filter(None, [options.checkpoint]))]
    for option in ("layers", "hidden", "precision"):
        command += [f"--{option}", str(getattr(options, option))]
    command += ["--light"] * options.light + ["--child", name, "--sequences", str(sequences)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "sequences": sequences}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    model = model_of(options)
    precision = choose_precision(options.precision, torch.device("cpu"))
    ids = token_ids(model, options.sequences).tolist()
    rows = Rows(Dataset.from_dict({"input_ids": ids}), BATCH, precision=precision)
    settings = Quantize(ENTROPY, products=False, smooth=False, scheme="symmetric")
    return {**measured(lambda: quantize(model, settings, rows)), "precision": precision}


def onnxruntimes(options: argparse.Namespace) -> dict[str, Any]:
    model = model_of(options)
    parts = max(1, options.sequences // BATCH)
    batches = np.array_split(token_ids(model, options.sequences), parts)
    feeds = [inputs(model, batch) for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        onnx.save(emit(model), graph)
        kinds = ["MatMul"] if options.light else list(QDQRegistry)
        calibrator = entropy_calibrator(graph, kinds)
        parts = [[feed] for feed in feeds] if options.light else [feeds]

        def calibrate() -> None:
            for part in parts:
                calibrator.collect_data(Reader(iter(part)))
            calibrator.compute_data()

        return {**measured(calibrate), "precision": "fp32"}


@dataclass
class Reader:
    """ONNX Runtime asks it for one batch after the other."""

    feeds: Iterator[Feeds]

    def get_next(self) -> Feeds | None:
        """Return the next batch; None after the last."""
        return next(self.feeds, None)


def model_of(options: argparse.Namespace) -> SlimBertPreTrainedModel:
    if options.checkpoint:
        return load_model(open_checkpoint(options.checkpoint))
    torch.manual_seed(0)
    config = SlimBertConfig(
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        intermediate_size=4 * options.hidden,
        pooler_activation="tanh",
    )
    return SlimBertForSequenceClassification(config)


def token_ids(model: SlimBertPreTrainedModel, sequences: int) -> Ids:
    """The same rows for both: (sequences, LENGTH)."""
    random = np.random.default_rng(0)
    return random.integers(5, model.config.vocab_size, (sequences, LENGTH))


def inputs(model: SlimBertPreTrainedModel, ids: Ids) -> Feeds:
    ones, zeros = np.ones_like(ids), np.zeros_like(ids)
    feeds = {"input_ids": ids, "attention_mask": ones, "token_type_ids": zeros}
    return {name: feeds[name] for name in input_names(model.config)}


def entropy_calibrator(graph: Path, kinds: Sequence[str]) -> Any:
    """ONNX Runtime's, with all its defaults, as quantize_static makes it."""
    augmented = str(graph.with_suffix(".augmented.onnx"))
    method = CalibrationMethod.Entropy
    return create_calibrator(str(graph), kinds, augmented, calibrate_method=method)


def measured(calibrate: Callable[[], object]) -> dict[str, float]:
    """Seconds, and how far the peak of memory rises above what is in use before."""
    # from here on the peak counts anew (Linux)
    Path("/proc/self/clear_refs").write_text("5")
    before, begin = memory("VmRSS"), time.perf_counter()
    # what it prints is not ours
    with contextlib.redirect_stdout(sys.stderr):
        calibrate()
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "megabytes": memory("VmHWM") - before}


def memory(figure: str) -> float:
    """One of Linux's figures on this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(figure))


def outliers_table() -> Table:
    """Ranges found for a million normal values and two outliers."""
    x = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)
    x[0, :2] = OUTLIERS
    histogram = Histogram()
    histogram.add(torch.from_numpy(x))
    mine = ENTROPY.range_of(histogram)
    low, high = onnxruntimes_range(x)
    table = Table("N(0, 1), two values at 60 and -55", "range", box=None)
    table.add_row("bertslim, entropy", f"{mine.low:.2f} to {mine.high:.2f}")
    table.add_row("ONNX Runtime, entropy, defaults", f"{low:.2f} to {high:.2f}")
    return table


def onnxruntimes_range(x: Values) -> tuple[float, float]:
    """Let ONNX Runtime calibrate a graph of one product."""
    width = x.shape[1]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [info("x", TensorProto.FLOAT, [None, width])],
        [info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.ones((width, 1), np.float32), "w")],
    )
    opset = helper.make_opsetid("", 20)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        path = Path(folder) / "product.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
        calibrator = entropy_calibrator(path, ["MatMul"])
        calibrator.collect_data(Reader(iter([{"x": x}])))
        low, high = calibrator.compute_data()["x"].range_value
    return float(low), float(high)


CHILDREN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "bertslim": ours,
    "onnxruntime": onnxruntimes,
}

if __name__ == "__main__":
    main()
