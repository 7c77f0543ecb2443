"""What an engine consists of, read from the dump of its layers that the builder writes to its log.

The text is undocumented, so whatever is not understood is an error: a layer that is overlooked
could be the one that matters. Read are TensorRT-RTX 1.7 (`Datatype: Half`, constants apart) and
TensorRT 10 (`Format/Datatype: Half`, constants among the inputs).
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bertslim.errors import BertslimError
from bertslim.runtime.kernels import Kernel

TYPES = {"Float": "fp32", "Half": "fp16", "BFloat16": "bf16"}
"""TensorRT's words where they differ from ours."""
FLOATS = ("fp32", "bf16", "fp16")
"""Widest first."""
PRODUCTS = ("gemm", "runtime_fusion")
"""Kinds of layers that multiply matrices; the others (`kgen`) are written by the compiler."""

_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*)"
    r", Inputs: \[(?P<inputs>|.*?\})\](?:, Constants: \[(?P<constants>|.*?\})\])?"
    r", Outputs: \[(?P<outputs>|.*?\})\](?:, .*?)?"
    r", Tactic(?:Name|Value): (?P<tactic>.*?), StreamId: \d+"
    r"(?:, JumpTarget\w+: [^,]*)*, Metadata: (?P<nodes>.*)"
)
_SYNCHRONISATION = re.compile(r", LayerType: (signal|wait), ")
"""Kinds of entries that compute nothing: streams wait for each other."""
_TENSOR = re.compile(
    r"\{ Name: (?P<name>.*?), (?:Location: \w+, )?Dimensions: \[(?P<shape>[-\d,]*)\]"
    r",.*?Datatype: (?P<type>[^,}]+?)(?:,[^}]*)? \}"
)
_ATTENTION = re.compile(r"_ge(mm|mv)_mha_\w+?(?=_myl)")
_NODE = re.compile(r"\[ONNX Layer: (.*?)\]")


@dataclass(frozen=True, slots=True)
class Tensor:
    """What goes into or comes out of a layer."""

    name: str
    shape: tuple[int, ...]
    type: str
    """`fp32`, `fp16`, `bf16`, or TensorRT's own word in small letters (`int8`, `int64`)."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether it has two axes of more than one element, as weights have."""
        return sum(extent > 1 for extent in self.shape) >= 2


@dataclass(frozen=True, slots=True)
class Layer:
    """What the engine runs as one kernel, in the order in which it runs."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tactic: str
    nodes: tuple[str, ...]
    """Names of the graph's nodes that it stands for."""

    @property
    def is_attention(self) -> bool:
        """Whether it is a whole attention, from the scores to the context."""
        return _ATTENTION.match(self.name) is not None

    @property
    def is_product(self) -> bool:
        """Whether matrices are multiplied here."""
        return self.kind in PRODUCTS or self.is_attention

    @property
    def precision(self) -> str:
        """What it computes in.

        A product: what is multiplied, the first input and the weights, or else the second input;
        the first state of an LSTM is a constant. An attention: what queries, keys and values are;
        there is a mask besides. Other layers: their widest float; one without floats moves data,
        whose type it is.
        """
        if self.is_attention:
            return Counter(tensor.type for tensor in self.inputs).most_common(1)[0][0]
        if self.is_product:
            weights = [tensor for tensor in self.constants if tensor.is_matrix]
            return _widest([*self.inputs[:1], *weights] if weights else self.inputs[:2])
        return _widest([*self.inputs, *self.constants] or self.outputs)


def find_dump(messages: Sequence[str]) -> str:
    """Return the message of the builder's log that lists the layers; empty if there is none."""
    return next((message for message in messages if message.startswith("Layers:")), "")


def parse_layers(dump: str) -> tuple[Layer, ...]:
    """Read the dump of an engine's layers.

    Raises:
        BertslimError: If any of it is not understood.
    """
    layers = tuple(_layer(line) for line in _lines(dump))
    if not layers:
        raise _unknown("it lists no layers")
    return layers


def kernels_of(layers: Sequence[Layer]) -> tuple[Kernel, ...]:
    """Describe the layers as any runtime's kernels are described.

    A layer that follows an int8 product and applies its scales, an attention of one token among
    them, names the product's node again; here a node belongs to the first product that names it,
    and to that alone.
    """
    owner: dict[str, Layer] = {}
    for layer in layers:
        if layer.is_product:
            owner = {**dict.fromkeys(layer.nodes, layer), **owner}
    return tuple(
        Kernel(
            name=layer.name,
            kind=_kind(layer),
            precision=layer.precision,
            nodes=tuple(node for node in layer.nodes if owner.get(node, layer) is layer),
        )
        for layer in layers
    )


def _kind(layer: Layer) -> str:
    """Name what there is one kernel of by that kernel, `_gemm_mha_v2`."""
    attention = _ATTENTION.match(layer.name)
    return attention[0] if attention else layer.kind


def _lines(dump: str) -> Iterator[str]:
    """Lines of layers; a blank one ends them, and other breaks only part the names of nodes."""
    for line in dump.removeprefix("Layers:").strip().split("\n"):
        if not line.strip():
            return
        if not _SYNCHRONISATION.search(line):
            yield line


def _layer(line: str) -> Layer:
    found = _LAYER.fullmatch(line)
    if not found:
        raise _unknown(f"{line[:120]!r}")
    return Layer(
        name=found["name"],
        kind=found["kind"],
        inputs=_tensors(found["inputs"]),
        constants=_tensors(found["constants"] or ""),
        outputs=_tensors(found["outputs"]),
        tactic=found["tactic"],
        nodes=tuple(dict.fromkeys(_NODE.findall(found["nodes"]))),
    )


def _tensors(text: str) -> tuple[Tensor, ...]:
    found = [_tensor(match) for match in _TENSOR.finditer(text)]
    if len(found) != text.count("{ Name: "):
        raise _unknown(f"{text[:120]!r}")
    return tuple(found)


def _tensor(match: re.Match[str]) -> Tensor:
    shape = tuple(int(extent) for extent in match["shape"].split(",") if extent)
    return Tensor(match["name"], shape, TYPES.get(match["type"], match["type"].lower()))


def _widest(tensors: Sequence[Tensor]) -> str:
    types = [tensor.type for tensor in tensors]
    return next((kind for kind in FLOATS if kind in types), types[0] if types else "none")


def _unknown(what: str) -> BertslimError:
    return BertslimError(
        f"the builder's list of layers has an unknown form: {what}",
        "use a version of TensorRT that bertslim was tested with, and report this",
    )
