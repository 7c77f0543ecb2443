"""What OpenVINO executes, from its own graph of the compiled model.

Its nodes keep the names of the ONNX nodes that went into them, which most transformations pass on:
`bert.layers.0.attention.query/matmul/DequantizationMultiply` is what became of the product.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import openvino

from bertslim.runtime.engine import chosen_inputs
from bertslim.runtime.graphs import some_words
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.nodes import Node, Nodes, read_nodes

PRECISIONS = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}
"""OpenVINO's words where they differ from ours."""
NOT_RUN = ("Const", "Input", "Output")
TIMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Operation:
    """A node of the compiled model."""

    name: str
    kind: str
    precision: str
    parts: tuple[str, ...]
    """What it was made of, in OpenVINO's names."""
    inputs: tuple[str, ...]
    """Names of the operations before it."""


def list_kernels(
    compiled: openvino.CompiledModel, graph: bytes, shapes: Sequence[tuple[int, int]]
) -> tuple[Kernel, ...]:
    """Tell what a compiled model executes, and the mean times at the first shape, if any."""
    times = mean_times(compiled, shapes[0]) if shapes else {}
    operations = [_operation(node) for node in compiled.get_runtime_model().get_ordered_ops()]
    nodes = nodes_of(operations, read_nodes(graph))
    return tuple(
        Kernel(op.name, op.kind, op.precision, tuple(nodes[op.name]), times.get(op.name))
        for op in run_each_time(operations)
    )


def mean_times(compiled: openvino.CompiledModel, shape: tuple[int, int]) -> dict[str, float]:
    """Run a batch and return each operation's mean time in milliseconds."""
    request = compiled.create_infer_request()
    feed = chosen_inputs(some_words(shape), [port.any_name for port in compiled.inputs])
    request.infer(feed)  # kernels for a new shape are written at its first run
    times = defaultdict(list)
    for _ in range(TIMED_RUNS):
        request.infer(feed)
        for entry in request.get_profiling_info():
            times[entry.node_name].append(entry.real_time.total_seconds() * 1000)
    return {name: mean(found) for name, found in times.items()}


def run_each_time(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Leave out what has nothing but constants to work on: it is computed once, when compiled."""
    constant: set[str] = set()
    for op in operations:
        if op.kind == "Const" or (op.inputs and constant.issuperset(op.inputs)):
            constant.add(op.name)
        elif op.kind not in NOT_RUN:
            yield op


def nodes_of(operations: Sequence[Operation], nodes: Nodes) -> dict[str, list[str]]:
    """Find, for each operation by name, the nodes of the ONNX graph that it stands for."""
    by_name = {op.name: op for op in operations}
    found = {op.name: _named(op, nodes) for op in operations}
    for op in operations:
        if op.kind == "FullyConnected":
            # it goes by the name of the bias that was merged into it; its weights tell its own
            weights = _unconverted(op.inputs[1], by_name)
            found[op.name] = list(dict.fromkeys(found[weights] + found[op.name]))
        elif op.kind == "MVN" and not found[op.name]:
            found[op.name] = _norms_of(found[_unconverted(op.inputs[0], by_name)], nodes)
    for node in _dropped_sums(found, nodes):
        for parts in found.values():
            if node.inputs[0] in parts:
                parts.append(node.name)
    return found


def _named(op: Operation, nodes: Nodes) -> list[str]:
    return list(dict.fromkeys(n for part in op.parts if (n := _node_called(part, nodes))))


def _node_called(part: str, nodes: Nodes) -> str:
    """Return the node whose name OpenVINO has lengthened (`/...`, `_1`); "" if there is none."""
    while part not in nodes.by_name:
        shorter = re.sub(r"(_\d+|/[^/]*)$", "", part)
        if shorter == part:
            return ""
        part = shorter
    return part


def _unconverted(name: str, by_name: Mapping[str, Operation]) -> str:
    """Go back to what is merely brought into another type or layout."""
    while by_name[name].kind == "Reorder":
        name = by_name[name].inputs[0]
    return name


def _norms_of(summed: Sequence[str], nodes: Nodes) -> list[str]:
    """Name the norms of a sum. MVN does half of one and has no name; scale and shift have it."""
    users = (user for name in summed for user in nodes.users(name))
    return [user.name for user in users if user.operator == "LayerNormalization"]


def _dropped_sums(found: Mapping[str, Sequence[str]], nodes: Nodes) -> list[Node]:
    """Return the biases that are not there, since they are 0."""
    there = {name for parts in found.values() for name in parts}
    sums = (n for n in nodes.by_name.values() if n.operator == "Add" and len(n.inputs) == 1)
    return [node for node in sums if node.name not in there]


def _operation(node: openvino.Node) -> Operation:
    facts = {key: value.astype(str) for key, value in node.get_rt_info().items()}
    precision = facts["runtimePrecision"]
    return Operation(
        name=node.get_friendly_name(),
        kind=facts["layerType"],
        precision=PRECISIONS.get(precision, precision),
        parts=tuple(filter(None, facts["originalLayersNames"].split(","))),
        inputs=tuple(v.get_node().get_friendly_name() for v in node.input_values()),
    )
