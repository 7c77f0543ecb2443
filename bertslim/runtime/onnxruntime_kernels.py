"""What ONNX Runtime executes, from the graph that its optimiser has made, and from its profile.

A value that is still there keeps its name, whatever its node is called now; a node that only got
other inputs keeps its own. A new node stands for the old ones between what it makes and what is
still there.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

import onnx
import onnxruntime

from bertslim.runtime.engine import chosen_inputs
from bertslim.runtime.graphs import some_words
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.nodes import Kept, read_nodes

INT8 = frozenset(
    {
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
        "QLinearMatMul",
    }
)
"""Operators whose products are int8; all others compute in fp32 on a CPU."""
SUFFIX = "_kernel_time"
TIMED_RUNS = 5


def list_kernels(graph: bytes, optimised: Path, times: Mapping[str, float]) -> tuple[Kernel, ...]:
    """Compare the optimised graph with the one that was given.

    Args:
        graph: What was given.
        optimised: The file of what became of it.
        times: Milliseconds by the names of its nodes, as far as they are known.
    """
    executed = onnx.load_model(optimised, load_external_data=False).graph.node
    given = read_nodes(graph)
    kept = Kept(
        values=frozenset(value for node in executed for value in node.output),
        nodes=frozenset(node.name for node in executed),
    )
    return tuple(
        Kernel(
            name=node.name,
            kind=node.op_type,
            precision="int8" if node.op_type in INT8 else "fp32",
            nodes=tuple(given.behind(node.name, node.output, kept)),
            milliseconds=times.get(node.name),
        )
        for node in executed
    )


def mean_times(session: onnxruntime.InferenceSession, shape: tuple[int, int]) -> dict[str, float]:
    """Run a batch and return each node's mean time in milliseconds; ends the session's profile."""
    feed = chosen_inputs(some_words(shape), [value.name for value in session.get_inputs()])
    for _ in range(TIMED_RUNS + 1):
        session.run(None, feed)
    times = defaultdict(list)
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event["cat"] == "Node" and event["name"].endswith(SUFFIX):
            times[event["name"].removesuffix(SUFFIX)].append(event["dur"] / 1000)
    # the first run also lays out the memory
    return {name: mean(found[1:]) for name, found in times.items()}
