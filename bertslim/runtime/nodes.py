"""Nodes of an ONNX graph, found again by their names and by the values between them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph that a runtime was given."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    """Values that other nodes make; neither constants nor inputs of the graph."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What an optimiser left of a graph, by name."""

    values: frozenset[str]
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Nodes:
    """All nodes of a graph."""

    by_name: Mapping[str, Node]
    by_value: Mapping[str, Node]
    """By each value, the node that makes it."""

    def users(self, name: str) -> Iterator[Node]:
        """Yield the nodes that take what the named one makes."""
        made = {value for value, node in self.by_value.items() if node.name == name}
        return (node for node in self.by_name.values() if made.intersection(node.inputs))

    def behind(self, name: str, outputs: Iterable[str], kept: Kept) -> list[str]:
        """Name the nodes that another stands for, in their order.

        Args:
            name: Of the other one.
            outputs: What it makes.
            kept: What else is still there, and stands for itself.
        """
        found = {name} & self.by_name.keys()
        values = [value for value in outputs if value in self.by_value]
        while values:
            node = self.by_value[values.pop()]
            if node.name == name or node.name not in kept.nodes:
                found.add(node.name)
                values += [value for value in node.inputs if value not in kept.values]
        return [node for node in self.by_name if node in found]


def read_nodes(graph: bytes) -> Nodes:
    """Read the nodes of a graph that a runtime has accepted."""
    written = onnx.load_model_from_string(graph).graph.node
    made = {value for node in written for value in node.output}
    by_name: dict[str, Node] = {}
    by_value: dict[str, Node] = {}
    for node in written:
        inputs = tuple(value for value in node.input if value in made)
        by_name[node.name] = Node(node.name, node.op_type, inputs)
        by_value |= dict.fromkeys(node.output, by_name[node.name])
    return Nodes(by_name, by_value)
