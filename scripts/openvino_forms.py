"""What each form of a BERT takes on OpenVINO: bertslim's, its own conversion's, and NNCF's int8.

python scripts/openvino_forms.py [CHECKPOINT] [--layers 12] [--threads N] [--seconds 20]

Every model runs in turns with all others. Without CHECKPOINT the model has BERT-base's shape,
random weights and a small vocabulary. NNCF takes part where `pip install nncf` was run; it
quantizes bertslim's fp32 graph, calibrated on the same rows. On a machine with other work read the
times of the CPU, with --threads 1 --cpu-time.
"""

import argparse
import importlib
import importlib.util
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table

from bertslim.console import Verbosity, verbosity
from bertslim.errors import UnavailableError
from bertslim.graph.emit import write
from bertslim.graph.form import Form
from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.observe import Rows
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertForSequenceClassification, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.model.running import run_model
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.engine import Batch, EngineSettings
from bertslim.runtime.kernels import count_fusions, count_int8
from bertslim.runtime.machine import available_cores
from bertslim.runtime.openvino_ import OpenVinoEngine, compile_graph, kernels, only_core
from bertslim.runtime.timing import Budget, summarise, time_rounds
from bertslim.store.checkpoint import open_checkpoint

SHAPES = ((8, 128), (1, 128))
CALIBRATED_ON = 64
REST_FP32 = {"INFERENCE_PRECISION_HINT": "f32"}

Forms = Mapping[str, OpenVinoEngine]


def main() -> None:
    options = parse_options()
    verbosity.set(Verbosity.QUIET)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    model = (
        load_model(open_checkpoint(options.checkpoint))
        if options.checkpoint
        else random_bert(options.layers)
    )
    rows = full_batch(model.config, CALIBRATED_ON, 128, seed=1)
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        forms = dict(engines(model, rows, EngineSettings(options.threads), Path(folder)))
    for shape in SHAPES:
        batch = full_batch(model.config, *shape, seed=0)
        console.print(f"batch {shape[0]} x {shape[1]} tokens, {options.threads} threads")
        console.print(measured(forms, batch, largest_output(run_model(model, batch)), options))
    console.print(executed(model, calibrated(model, rows), EngineSettings(options.threads)))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=20, help="for each form and shape")
    parser.add_argument("--cpu-time", action="store_true", help="time of the CPU, not the clock")
    return parser.parse_args()


def random_bert(layers: int) -> SlimBertPreTrainedModel:
    """BERT-base's shape; no bias is 0 and no norm is idle, or OpenVINO would leave them out."""
    torch.manual_seed(0)
    config = SlimBertConfig(vocab_size=2000, num_hidden_layers=layers, pooler_activation="tanh")
    model = SlimBertForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    model.train(mode=False)
    return model


def engines(
    model: SlimBertPreTrainedModel, rows: Batch, settings: EngineSettings, folder: Path
) -> Iterator[tuple[str, OpenVinoEngine]]:
    """Every form by its name, fp32 first."""
    found = calibrated(model, rows)
    floats = emitted(model, Form())
    int8 = emitted(model, Form(quantization=replace(found, products={})))
    products = emitted(model, Form(quantization=found))
    yield "fp32", engine(floats, "fp32", settings)
    yield "fp32, converted", engine(converted(model, rows, folder), "fp32", settings)
    try:
        yield "bf16", engine(floats, "bf16", settings)
    except UnavailableError as error:
        print(f"bf16 is {error}")
    yield "int8, the rest fp32", engine(int8, "int8", settings, **REST_FP32)
    yield "int8", engine(int8, "int8", settings)
    yield "int8, attention as well", engine(products, "int8", settings)
    if importlib.util.find_spec("nncf"):
        file = quantized_by_nncf(floats, rows, folder)
        yield "NNCF int8, the rest fp32", engine(file, "int8", settings, **REST_FP32)
        yield "NNCF int8", engine(file, "int8", settings)


def calibrated(model: SlimBertPreTrainedModel, rows: Batch) -> Quantization:
    """Ranges as `bertslim quantize` finds them, of the attentions' products too."""
    encoded = Dataset.from_dict({"input_ids": rows["input_ids"].tolist()})
    settings = Quantize(Calibration("mse"), products=True, smooth=True, scheme="symmetric")
    data = Rows(encoded, batch_size=8, masking=None, precision="fp32")
    return quantize(model, settings, data)[0]


def emitted(model: SlimBertPreTrainedModel, form: Form) -> bytes:
    data: bytes = write(model, form).proto.SerializeToString()
    return data


def engine(
    graph: bytes | str, precision: str, settings: EngineSettings, **properties: object
) -> OpenVinoEngine:
    return OpenVinoEngine(compile_graph(graph, precision, settings, **properties), precision)


def converted(model: SlimBertPreTrainedModel, rows: Batch, folder: Path) -> str:
    """The file that OpenVINO's own converter makes of the model as PyTorch runs it."""
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = {name: torch.from_numpy(rows[name][:2]) for name in names}
    read = openvino.convert_model(model, example_input=example, input=[(-1, -1)] * len(names))
    openvino.save_model(read, folder / "converted.xml", compress_to_fp16=False)
    return str(folder / "converted.xml")


def quantized_by_nncf(graph: bytes, rows: Batch, folder: Path) -> str:
    """The file that NNCF's post-training quantization for transformers makes."""
    nncf = importlib.import_module("nncf")
    singles = [{name: rows[name][i : i + 1] for name in rows} for i in range(CALIBRATED_ON)]
    quantized = nncf.quantize(
        only_core().read_model(graph),
        nncf.Dataset(singles),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=CALIBRATED_ON,
    )
    openvino.save_model(quantized, folder / "nncf.xml", compress_to_fp16=False)
    return str(folder / "nncf.xml")


def measured(
    forms: Forms, batch: Batch, expected: npt.NDArray[np.float32], options: argparse.Namespace
) -> Table:
    clock = time.process_time if options.cpu_time else time.perf_counter
    runs = {name: partial(form.run, batch) for name, form in forms.items()}
    times = time_rounds(runs, Budget(options.seconds, warm_up=2, least_rounds=5), clock)
    table = Table("form", "ms", "times as fast as fp32", "largest difference", box=None)
    for name, form in forms.items():
        found = summarise(times[name], times["fp32"], len(expected))
        spread = f"{found.speedup:.2f} ({found.speedup_low:.2f}-{found.speedup_high:.2f})"
        difference = np.abs(largest_output(form.run(batch)) - expected).max()
        table.add_row(name, f"{found.p50:.1f}", spread, f"{difference:.0e}")
    if "NNCF int8" in times:
        table.caption = "\n".join(
            f"{name} is {np.median(np.asarray(times['NNCF int8']) / times[name]):.2f} times as fast"
            " as NNCF int8"
            for name in times
            if name.startswith("int8")
        )
    return table


def largest_output(outputs: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return max(outputs.values(), key=lambda values: values.size)


def executed(
    model: SlimBertPreTrainedModel, quantization: Quantization, settings: EngineSettings
) -> Table:
    """What OpenVINO fuses, by its own graph of the compiled model."""
    forms = {
        "fp32": Form(),
        "bf16": Form(),
        "int8": Form(quantization=replace(quantization, products={})),
        "int8, attention as well": Form(quantization=quantization),
    }
    table = Table("fused", *forms, box=None)
    columns = []
    for name, form in forms.items():
        written = write(model, form)
        found = kernels(written.proto.SerializeToString(), name[:4], settings)
        counts = [*count_fusions(written.fusions, found)]
        if form.quantization:
            inside = {p: n for p, n in written.gemms.items() if p in quantization.inputs}
            counts.append(count_int8(inside, found))
        columns.append({c.kind: f"{c.happened} of {c.expected}" for c in counts})
    for kind in dict.fromkeys(kind for column in columns for kind in column):
        table.add_row(kind, *(column.get(kind, "") for column in columns))
    return table


if __name__ == "__main__":
    main()
