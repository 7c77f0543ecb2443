"""What each form of a BERT takes on ONNX Runtime: bertslim's, and what its own tools make.

python scripts/onnxruntime_forms.py [CHECKPOINT] [--layers 12] [--threads N] [--seconds 20]

Every session runs in turns with all others. Without CHECKPOINT the model has BERT-base's shape,
random weights and a small vocabulary, and labels tokens. ONNX Runtime's tools get a graph of the
stock model that their optimiser understands: eager attention, traced by the older exporter. On a
machine with other work read the times of the CPU, with --threads 1 --cpu-time.
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
import transformers
from onnxruntime.quantization import (
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers import optimizer
from rich.console import Console
from rich.table import Table

from bertslim.graph.emit import emit
from bertslim.graph.form import PLAIN, Form
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization, Range
from bertslim.model.running import run_model
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.engine import Batch, EngineSettings, Source, chosen_inputs
from bertslim.runtime.machine import available_cores
from bertslim.runtime.onnxruntime_ import OnnxRuntimeEngine, build
from bertslim.runtime.timing import Budget, summarise, time_rounds
from bertslim.store.checkpoint import open_checkpoint

SHAPES = ((8, 128), (1, 128))
OURS = "bertslim"
UNKNOWN_TYPES = {"DefaultTensorType": onnx.TensorProto.FLOAT}
"""Of what the optimiser's operators make: the quantisers infer nothing behind those."""


def main() -> None:
    options = parse_options()
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.checkpoint or random_bert(Path(folder), options.layers)
        model = load_model(open_checkpoint(checkpoint))
        forms = {
            name: (opened(graph, model, options.threads), len(graph))
            for name, graph in graphs(model, checkpoint, Path(folder))
            if all(part not in name for part in options.without)
        }
    console = Console(width=120)
    for shape in SHAPES:
        batch = full_batch(model.config, *shape, seed=0)
        console.print(f"batch {shape[0]} x {shape[1]} tokens, {options.threads} threads")
        console.print(measured(forms, batch, run_model(model, batch)["logits"], options))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?", help="of a stock BERT")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=20, help="for each form and shape")
    parser.add_argument("--cpu-time", action="store_true", help="time of the CPU, not the clock")
    parser.add_argument("--without", nargs="*", default=[], help="parts of names of forms")
    return parser.parse_args()


def random_bert(folder: Path, layers: int) -> str:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=2000, num_hidden_layers=layers)
    directory = folder / "random"
    transformers.BertForTokenClassification(config).save_pretrained(directory)
    return str(directory)


def graphs(
    model: SlimBertPreTrainedModel, checkpoint: str, folder: Path
) -> Iterator[tuple[str, bytes]]:
    """Every form by its name, the plainest first."""
    batch = full_batch(model.config, 8, 128, seed=1)
    quantization = Quantization(ranges(model, batch))
    yield f"{OURS} fp32, plain operators", written(model, PLAIN)
    yield f"{OURS} fp32", written(model, Form("onnxruntime"))
    for name, dynamic in (("dynamic", True), ("static", False)):
        form = Form("onnxruntime", quantization=quantization, dynamic=dynamic)
        yield f"{OURS} int8 {name}", written(model, form)
    plain = exported(checkpoint, batch, folder / "plain.onnx")
    for name, file in (("exported", plain), ("optimised", optimised(plain, model))):
        yield f"{name} fp32", file.read_bytes()
        yield f"{name}, quantize_dynamic", quantized(file, dynamically)
        yield f"{name}, quantize_static", quantized(file, lambda a, b: statically(a, b, batch))


def written(model: SlimBertPreTrainedModel, form: Form) -> bytes:
    data: bytes = emit(model, form).SerializeToString()
    return data


def ranges(model: SlimBertPreTrainedModel, batch: Batch) -> dict[str, Range]:
    """Smallest and largest input of every linear layer of the encoder."""
    found: dict[str, Range] = {}

    def watch(path: str) -> Callable[..., None]:
        def see(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            low, high = inputs[0].aminmax()
            found[path] = Range(min(0.0, low.item()), max(0.0, high.item()))

        return see

    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    hooks = [m.register_forward_pre_hook(watch(n)) for n, m in layers.items() if "layers." in n]
    run_model(model, dict(batch))
    for hook in hooks:
        hook.remove()
    return found


def exported(checkpoint: str, batch: Batch, file: Path) -> Path:
    """The stock model as the older exporter traces it."""
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    kind = getattr(transformers, config.architectures[0])
    model = kind.from_pretrained(checkpoint, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = chosen_inputs(batch, names)
    torch.onnx.export(
        model,
        tuple(torch.from_numpy(example[name]) for name in names),
        str(file),
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
    )
    return file


def optimised(file: Path, model: SlimBertPreTrainedModel) -> Path:
    """The same after ONNX Runtime's own optimiser."""
    config, to = model.config, file.with_name("optimised.onnx")
    fused = optimizer.optimize_model(
        str(file), "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
    )
    fused.save_model_to_file(str(to))
    return to


def quantized(file: Path, make: Callable[[str, str], None]) -> bytes:
    to = file.with_name("quantized.onnx")
    make(str(file), str(to))
    return to.read_bytes()


def dynamically(file: str, to: str) -> None:
    quantize_dynamic(file, to, weight_type=QuantType.QInt8, extra_options=UNKNOWN_TYPES)


def statically(file: str, to: str, batch: Batch) -> None:
    inputs = onnxruntime.InferenceSession(file).get_inputs()
    feeds = chosen_inputs(batch, [value.name for value in inputs])
    quantize_static(
        file,
        to,
        OneBatch(feeds),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Attention"],
        extra_options=UNKNOWN_TYPES,
    )


class OneBatch:
    """What the calibrators of ONNX Runtime read: one batch, and no more."""

    def __init__(self, batch: Batch) -> None:
        self.left = iter([dict(batch)])

    def get_next(self) -> Batch | None:
        """Return the batch, and then nothing."""
        return next(self.left, None)


def opened(graph: bytes, model: SlimBertPreTrainedModel, threads: int) -> OnnxRuntimeEngine:
    source = Source(model, graph=lambda *_: graph)
    return build(source, "fp32", EngineSettings(threads))


def measured(
    forms: Mapping[str, tuple[OnnxRuntimeEngine, int]],
    batch: Batch,
    expected: npt.NDArray[np.float32],
    options: argparse.Namespace,
) -> Table:
    clock = time.process_time if options.cpu_time else time.perf_counter
    runs = {name: partial(engine.run, batch) for name, (engine, _) in forms.items()}
    times = time_rounds(runs, Budget(options.seconds, warm_up=2, least_rounds=5), clock)
    first = next(iter(times.values()))
    table = Table("form", "ms", "MB", "max difference", "times as fast as the first", box=None)
    for name, (engine, size) in forms.items():
        found = summarise(times[name], first, len(expected))
        difference = np.abs(engine.run(batch)["logits"] - expected).max()
        spread = f"{found.speedup:.2f} ({found.speedup_low:.2f}-{found.speedup_high:.2f})"
        row = (f"{found.p50:.1f}", f"{size / 1e6:.0f}", f"{difference:.0e}", spread)
        table.add_row(name, *row)
    for precision in ("fp32", "int8"):
        table.caption = f"{table.caption or ''}{verdict(times, precision)}\n"
    return table


def verdict(times: Mapping[str, list[float]], precision: str) -> str:
    """How the fastest of ours compares with the fastest of the others, round by round."""
    ours, others = (
        min(names, key=lambda name: statistics.median(times[name]))
        for names in sides(list(times), precision)
    )
    ratio = np.median(np.asarray(times[others]) / times[ours])
    return f"{ours} is {ratio:.2f} times as fast as {others}"


def sides(names: Sequence[str], precision: str) -> tuple[list[str], list[str]]:
    """Ours and the others' forms of a precision."""
    wanted = [name for name in names if ("fp32" in name) == (precision == "fp32")]
    ours = [name for name in wanted if name.startswith(OURS) and "plain" not in name]
    return ours, [name for name in wanted if not name.startswith(OURS)]


if __name__ == "__main__":
    main()
