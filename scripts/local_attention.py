"""What local attention saves: by a mask over all scores, in blocks, and beside full attention.

python scripts/local_attention.py [CHECKPOINT] [--layers 2] [--windows 64] [--lengths 128 384]
    [--runtimes onnxruntime openvino torch] [--precisions fp32 int8] [--batch 1] [--seconds 5]

All forms of a graph take turns. Without CHECKPOINT the model has the shape of a small BERT (384
wide, 12 heads) and random weights. A table for each runtime and precision, ready for a page; the
forms' outputs are compared first, and differences above the tolerance end the script. PyTorch has
no blocks: for it the attention alone is timed, which tells the most that blocks could save. On a
machine with other work read the times of the CPU, with --threads 1 --cpu-time.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention as attend

from bertslim.commands.forms import form_for, usual_int8
from bertslim.console import Verbosity, verbosity
from bertslim.graph.emit import emit
from bertslim.methods.quantize.calibrate import quantize
from bertslim.methods.quantize.observe import Rows
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths
from bertslim.model.layers import attention_bias
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertForTokenClassification, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.model.rebuilding import rebuilt
from bertslim.model.surgery import keep_layers
from bertslim.model.windows import BLOCK, reach_of
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.engine import Engine, EngineSettings, Outputs, Source, build
from bertslim.runtime.machine import available_cores
from bertslim.runtime.timing import Budget, summarise, time_rounds
from bertslim.store.checkpoint import open_checkpoint

FULL, MASK, BLOCKS = "full attention", "mask", "blocks"
TOLERANCE = {"fp32": 1e-4, "int8": 0.5}
"""Between the mask and the blocks; both round in int8, at other places."""


def main() -> None:
    options = parse_options()
    verbosity.set(Verbosity.QUIET)
    whole = load_model(open_checkpoint(options.checkpoint)) if options.checkpoint else small_bert()
    if options.layers:
        whole = keep_layers(whole, range(min(options.layers, whole.config.num_hidden_layers)))
    print(
        f"{whole.config.num_hidden_layers} layers, {options.threads} threads, batch {options.batch}"
    )
    for runtime, precision in product(options.runtimes, options.precisions):
        if (runtime, precision) == ("torch", "int8"):
            continue
        print(f"\n{runtime} {precision}\n\n{header()}", flush=True)
        for window in options.windows:
            if runtime == "torch":
                compare_attentions(whole.config, window, options)
            else:
                compare(whole, window, runtime, precision, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--layers", type=int, default=2, help="only the first ones; 0: all")
    parser.add_argument("--windows", type=int, nargs="+", default=[64])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 384])
    known = ["onnxruntime", "openvino", "torch"]
    parser.add_argument("--runtimes", nargs="+", choices=known, default=known)
    parser.add_argument("--precisions", nargs="+", choices=TOLERANCE, default=list(TOLERANCE))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=5, help="for each form and length")
    parser.add_argument("--cpu-time", action="store_true", help="time of the CPU, not the clock")
    return parser.parse_args()


def small_bert() -> SlimBertPreTrainedModel:
    torch.manual_seed(0)
    config = SlimBertConfig(
        vocab_size=2000, hidden_size=384, intermediate_size=1536, num_hidden_layers=6
    )
    model = SlimBertForTokenClassification(config)
    model.train(mode=False)
    return model


def compare(
    whole: SlimBertPreTrainedModel,
    window: int,
    runtime: str,
    precision: str,
    options: argparse.Namespace,
) -> None:
    """Print a line for each length."""
    widths = [replace(layer, window=window) for layer in layer_widths(whole.config)]
    local = rebuilt(whole, with_widths(whole.config, widths), whole.state_dict())
    made = {
        FULL: engine(whole, "mask", runtime, precision, options),
        MASK: engine(local, "mask", runtime, precision, options),
        BLOCKS: engine(local, "blocks", runtime, precision, options),
    }
    for length in options.lengths:
        batch = full_batch(whole.config, options.batch, length, seed=0)
        refuse_difference(made[MASK].run(batch), made[BLOCKS].run(batch), TOLERANCE[precision])
        runs = {name: partial(form.run, batch) for name, form in made.items()}
        print(line(window, length, timed(runs, options)), flush=True)
    for form in made.values():
        form.close()


def timed(
    runs: Mapping[str, Callable[[], object]], options: argparse.Namespace
) -> dict[str, list[float]]:
    clock = time.process_time if options.cpu_time else time.perf_counter
    return time_rounds(runs, Budget(options.seconds, warm_up=1, least_rounds=3), clock)


def compare_attentions(config: SlimBertConfig, window: int, options: argparse.Namespace) -> None:
    """Print a line for each length, of one attention in PyTorch without its projections."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for length in options.lengths:
        shape = (options.batch, length, 3, config.num_attention_heads, config.head_dim)
        q, k, v = torch.randn(shape).permute(2, 0, 3, 1, 4)  # (batch, heads, length, head_dim)
        bias = attention_bias(None, window, torch.zeros(1, length, 1))
        runs = {
            FULL: partial(attend, q, k, v),
            MASK: partial(attend, q, k, v, attn_mask=bias),
            BLOCKS: partial(attend_in_blocks, q, k, v, window),
        }
        found = float((runs[MASK]() - runs[BLOCKS]()).abs().max())
        if found > TOLERANCE["fp32"]:
            sys.exit(f"attentions differ by {found:.1e} between the mask and the blocks")
        print(line(window, length, timed(runs, options)), flush=True)


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """What `graph/windows.py` writes, of (batch, heads, length, head_dim) without padding."""
    batch, heads, length, head_dim = q.shape
    reach, count = reach_of(window), -(-length // BLOCK)
    start = torch.arange(count)[:, None] * BLOCK
    i, near = start + torch.arange(BLOCK), start + torch.arange(-reach, BLOCK + reach)
    hidden = (i[:, :, None] - near[:, None]).abs() > reach
    hidden |= ((near < 1) | (near >= length))[:, None]
    mask = torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(q.dtype).min)
    mask = functional.pad(mask, (1, 0))[:, None].repeat(batch, 1, 1, 1)
    keys = functional.pad(near.clamp(0, length - 1), (1, 0)).flatten()

    def folded(x: Tensor, positions: Tensor) -> Tensor:
        blocks = x[:, :, positions].view(batch, heads, count, -1, head_dim)
        return blocks.transpose(1, 2).flatten(0, 1)

    rows = folded(q, i.clamp(max=length - 1).flatten())
    local = attend(rows, folded(k, keys), folded(v, keys), attn_mask=mask)
    local = local.view(batch, count, heads, BLOCK, head_dim).transpose(1, 2).flatten(2, 3)
    return torch.cat([attend(q[:, :, :1], k, v), local[:, :, 1:length]], dim=2)


def engine(
    model: SlimBertPreTrainedModel,
    windows: Literal["mask", "blocks"],
    runtime: str,
    precision: str,
    options: argparse.Namespace,
) -> Engine:
    found = calibrated(model, runtime) if precision == "int8" else None
    form = replace(form_for(runtime, precision, found), windows=windows)
    graph: bytes = emit(model, form).SerializeToString()
    settings = EngineSettings(options.threads)
    return build(runtime, precision, Source(model, graph=lambda *_: graph), settings)


def calibrated(model: SlimBertPreTrainedModel, runtime: str) -> Quantization:
    """Ranges as `bertslim quantize` finds them, on random words."""
    rows = full_batch(model.config, 16, 128, seed=1)
    encoded = Dataset.from_dict({"input_ids": rows["input_ids"].tolist()})
    return quantize(model, usual_int8(runtime, type(model).__name__), Rows(encoded, batch_size=8))[
        0
    ]


def refuse_difference(outputs: Outputs, others: Outputs, tolerance: float) -> None:
    for name, values in outputs.items():
        found = float(np.abs(values - others[name]).max()) / max(1.0, float(np.abs(values).max()))
        if found > tolerance:
            sys.exit(f"{name} differs by {found:.1e} between the mask and the blocks")


def header() -> str:
    names = ("window", "length", "full, ms", "mask, ms", "blocks, ms", "mask / blocks")
    return f"| {' | '.join(names)} | full / blocks |\n|{' --- |' * (len(names) + 1)}"


def line(window: int, length: int, times: Mapping[str, list[float]]) -> str:
    mask, blocks = (summarise(times[BLOCKS], times[name], 1) for name in (MASK, FULL))
    ratios = [f"{r.speedup:.2f} ({r.speedup_low:.2f}-{r.speedup_high:.2f})" for r in (mask, blocks)]
    medians = [f"{np.median(times[name]):.1f}" for name in (FULL, MASK, BLOCKS)]
    return f"| {' | '.join([str(window), str(length), *medians, *ratios])} |"


if __name__ == "__main__":
    main()
