"""Why bertslim's graphs for ONNX Runtime use these operators: each fused one beside its parts.

python scripts/onnxruntime_operators.py [--threads N] [--seconds 3] [--cpu-time]

The shapes are those of a layer of BERT-base. What is compared runs in turns. On a machine with
other work read the times of the CPU, with --threads 1 --cpu-time.
"""

import argparse
import re
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx.parser
import onnxruntime
from onnx import numpy_helper
from rich.console import Console
from rich.table import Table

from bertslim.runtime.machine import available_cores
from bertslim.runtime.timing import Budget, summarise, time_rounds

SHAPES = ((8, 128), (1, 128))
HIDDEN, HEADS, WORDS = 768, 12, 30522

FLOATS = """
q = MatMul(x, w_q) k = MatMul(x, w_k) v = MatMul(x, w_v)
qb = Add(q, b_q) kb = Add(k, b_k) vb = Add(v, b_v)
"""
INTEGERS = """
c = QuantizeLinear(x, step, zero)
qb = com.microsoft.MatMulIntegerToFloat(c, i_q, step, t_q, zero, , b_q)
kb = com.microsoft.MatMulIntegerToFloat(c, i_k, step, t_k, zero, , b_k)
vb = com.microsoft.MatMulIntegerToFloat(c, i_v, step, t_v, zero, , b_v)
"""
ATTENTION = f"y = Attention <q_num_heads = {HEADS}, kv_num_heads = {HEADS}> (qb, kb, vb, square)"
SPLIT = "qb, kb, vb = Split <axis = -1, num_outputs = 3> (m)"
NORM = "y = LayerNormalization <axis = -1, epsilon = 1e-12> (e, gamma, beta)"

COMPARED: Mapping[str, Mapping[str, str]] = {
    "residual + LayerNorm": {
        "Sum, LayerNormalization": f"e = Sum(x, r) {NORM}",
        "SkipLayerNormalization": """
            y = com.microsoft.SkipLayerNormalization <epsilon = 1e-12> (x, r, gamma, beta)
        """,
    },
    "embeddings + LayerNorm": {
        "Gather, Slice, Sum, LayerNormalization": f"""
            w = Gather(words, ids) l = Shape <start = 1> (ids) p = Slice(places, at_0, l, at_0)
            t = Gather(types, kinds) e = Sum(w, p, t) {NORM}
        """,
        "EmbedLayerNormalization": """
            i = Cast <to = 6> (ids) k = Cast <to = 6> (kinds)
            y, n = com.microsoft.EmbedLayerNormalization <epsilon = 1e-12>
                (i, k, words, places, types, gamma, beta)
        """,
    },
    "bias + Gelu after an integer product": {
        "MatMulIntegerToFloat, Gelu": """
            c = QuantizeLinear(x, step, zero)
            e = com.microsoft.MatMulIntegerToFloat(c, i_ffn, step, t_ffn, zero, , b_ffn)
            y = Gelu(e)
        """,
        "MatMulIntegerToFloat, BiasGelu": """
            c = QuantizeLinear(x, step, zero)
            e = com.microsoft.MatMulIntegerToFloat(c, i_ffn, step, t_ffn, zero)
            y = com.microsoft.BiasGelu(e, b_ffn)
        """,
    },
    "attention in fp32": {
        "3 MatMul, Attention": f"{FLOATS} {ATTENTION}",
        "MatMul, Split, Attention": f"a = MatMul(x, w_qkv) m = Add(a, b_qkv) {SPLIT} {ATTENTION}",
        "3 MatMul, MultiHeadAttention": f"""
            {FLOATS}
            y = com.microsoft.MultiHeadAttention <num_heads = {HEADS}> (qb, kb, vb, , mask)
        """,
        "ONNX Runtime's Attention": f"""
            y = com.microsoft.Attention <num_heads = {HEADS}> (x, w_qkv, b_qkv, mask)
        """,
    },
    "attention in int8": {
        "3 MatMulIntegerToFloat, Attention": f"{INTEGERS} {ATTENTION}",
        "MatMulIntegerToFloat, Split, Attention": f"""
            c = QuantizeLinear(x, step, zero)
            m = com.microsoft.MatMulIntegerToFloat(c, i_qkv, step, t_qkv, zero, , b_qkv)
            {SPLIT} {ATTENTION}
        """,
        "3 MatMulIntegerToFloat, MultiHeadAttention": f"""
            {INTEGERS}
            y = com.microsoft.MultiHeadAttention <num_heads = {HEADS}> (qb, kb, vb, , mask)
        """,
        "QAttention": f"""
            c = QuantizeLinear(x, step, zero)
            y = com.microsoft.QAttention <num_heads = {HEADS}>
                (c, i_qkv, b_qkv, step, t_qkv, mask, zero)
        """,
    },
}


def main() -> None:
    options = parse_options()
    console = Console(width=120)
    for batch, length in SHAPES:
        columns = ("", "operators", "ms", "times as fast as the first")
        table = Table(*columns, box=None, title=f"batch {batch} x {length} tokens")
        for kind, forms in COMPARED.items():
            for row in measured(forms, feeds(batch, length), options):
                table.add_row(kind, *row)
        console.print(table)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=3, help="for each form and shape")
    parser.add_argument("--cpu-time", action="store_true", help="time of the CPU, not the clock")
    return parser.parse_args()


def feeds(batch: int, length: int) -> dict[str, npt.NDArray[np.generic]]:
    random = np.random.default_rng(0)
    shape = (batch, length)
    return {
        "x": random.standard_normal((*shape, HIDDEN), np.float32),
        "r": random.standard_normal((*shape, HIDDEN), np.float32),
        "ids": random.integers(0, WORDS, shape),
        "kinds": np.zeros(shape, np.int64),
        "mask": np.ones(shape, np.int32),
        "square": np.zeros((batch, 1, length, length), np.float32),
    }


def constants() -> dict[str, npt.NDArray[np.generic]]:
    random = np.random.default_rng(1)
    widths = {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "qkv": 3 * HIDDEN, "ffn": 4 * HIDDEN}
    found: dict[str, npt.NDArray[np.generic]] = {
        "step": np.array(0.03, np.float32),
        "zero": np.array(128, np.uint8),
        "at_0": np.zeros(1, np.int64),
        "gamma": np.ones(HIDDEN, np.float32),
        "beta": np.zeros(HIDDEN, np.float32),
        "words": random.standard_normal((WORDS, HIDDEN), np.float32),
        "places": random.standard_normal((512, HIDDEN), np.float32),
        "types": random.standard_normal((2, HIDDEN), np.float32),
    }
    for name, width in widths.items():
        codes = random.integers(-127, 128, (HIDDEN, width))
        found[f"i_{name}"] = codes.astype(np.int8)
        found[f"t_{name}"] = np.full(width, 4e-4, np.float32)
        found[f"w_{name}"] = (codes * 4e-4).astype(np.float32)
        found[f"b_{name}"] = random.standard_normal(width, np.float32)
    return found


CONSTANTS = constants()


def measured(
    forms: Mapping[str, str],
    feed: Mapping[str, npt.NDArray[np.generic]],
    options: argparse.Namespace,
) -> list[tuple[str, str, str]]:
    runs = {name: run_of(text, feed, options.threads) for name, text in forms.items()}
    clock = time.process_time if options.cpu_time else time.perf_counter
    times = time_rounds(runs, Budget(options.seconds, warm_up=3, least_rounds=5), clock)
    first = next(iter(times.values()))
    rows = []
    for name, each in times.items():
        found = summarise(each, first, 1)
        spread = f"{found.speedup:.2f} ({found.speedup_low:.2f}-{found.speedup_high:.2f})"
        rows.append((name, f"{found.p50:.2f}", spread))
    return rows


def run_of(
    text: str, feed: Mapping[str, npt.NDArray[np.generic]], threads: int
) -> Callable[[], object]:
    """What runs a few nodes, with no optimiser that would make other ones of them."""
    used = set(re.findall(r"\w+", text))
    inputs = {name: array for name, array in feed.items() if name in used}
    declared = ", ".join(f"{onnx_type(array)} {name}" for name, array in inputs.items())
    header = '<ir_version: 11, opset_import: ["" : 23, "com.microsoft" : 1]>'
    model = onnx.parser.parse_model(f"{header} g ({declared}) => (float[] y) {{ {text} }}")
    for name in used & CONSTANTS.keys():
        model.graph.initializer.append(numpy_helper.from_array(CONSTANTS[name], name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return partial(session.run, None, inputs)


def onnx_type(array: npt.NDArray[np.generic]) -> str:
    kind = {"float32": "float", "int64": "int64", "int32": "int32"}[array.dtype.name]
    return f"{kind}[{','.join(map(str, array.shape))}]"


if __name__ == "__main__":
    main()
