"""The pen that writes ONNX nodes, each named after the module that it came from."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, TensorProto, helper

from bertslim.errors import CheckpointError
from bertslim.graph.form import PLAIN, Form
from bertslim.store.deployment import Fusion

OPSETS = {"standard": (20, 9), "onnxruntime": (23, 11)}
"""Opset and the oldest IR version that holds it, by dialect, so that older runtimes open the file.

LayerNormalization came with opset 17, Gelu with 20, Attention with 23: what is one operator need
not be recognised from pieces.
"""
CONTRIB = "com.microsoft"
"""ONNX Runtime's own operators."""

FLOAT, FLOAT16, INT64, BOOL = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.BOOL,
)

Attribute = str | int | float | Sequence[int]
Dimension = str | int
Array = npt.NDArray[np.generic]


class GraphBuilder:
    """Writes nodes and initializers; each method returns the name of the value that it made.

    A node and its value share a name: the module's path, a slash and the step
    (`bert.layers.3.ffn.output/matmul`), so that whatever a runtime reports leads to the module.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], form: Form = PLAIN) -> None:
        self.weights = weights
        self.form = form
        # Written in place: a 400 MB graph that is assembled from parts is copied at every step.
        opset, ir_version = OPSETS[form.dialect]
        self.model = ModelProto(ir_version=ir_version, producer_name="bertslim")
        self.model.opset_import.append(helper.make_opsetid("", opset))
        if form.dialect == "onnxruntime":
            self.model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
        self.fusions: list[Fusion] = []
        self.gemms: dict[str, str] = {}
        """By the path of a linear layer, the node that multiplies with its weights."""
        self._initializers: set[str] = set()
        self._nodes: set[str] = set()
        self._wide: set[str] = set()
        """Values of an fp16 graph that are fp32."""

    @property
    def floats(self) -> type[np.floating]:
        """Type of the graph's own floats."""
        return np.float16 if self.form.floats == "fp16" else np.float32

    def input(self, name: str, shape: Sequence[Dimension]) -> str:
        """Declare an int64 input; a dimension that is a name is free."""
        value = helper.make_tensor_value_info(name, INT64, shape)
        self.model.graph.input.append(value)
        return name

    def output(self, x: str, name: str, shape: Sequence[Dimension]) -> None:
        """Hand out a value under a public name, as fp32."""
        self.node("Identity", [self.in_fp32(x)], name)
        value = helper.make_tensor_value_info(name, FLOAT, shape)
        self.model.graph.output.append(value)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Attribute) -> str:
        """Add a node of the ONNX standard."""
        return self._add("", operator, inputs, name, attributes)

    def several(self, operator: str, inputs: Sequence[str], names: Sequence[str]) -> None:
        """Add a node of the ONNX standard that makes several values; it has the first's name."""
        self.node(operator, inputs, names[0])
        self.model.graph.node[-1].output.extend(names[1:])

    def contrib(
        self, operator: str, inputs: Sequence[str], name: str, **attributes: Attribute
    ) -> str:
        """Add a node that only ONNX Runtime knows; an input that is not given is ""."""
        return self._add(CONTRIB, operator, inputs, name, attributes)

    def fusion(self, kind: str, place: str, nodes: Sequence[str], refusal: str = "") -> None:
        """Note that these nodes should run as one kernel."""
        self.fusions.append(Fusion(kind, place, tuple(nodes), refusal))

    def has(self, name: str) -> bool:
        """Whether a node of that name is written."""
        return name in self._nodes

    def in_fp32(self, x: str) -> str:
        """Return a float value as fp32."""
        fits = self.form.floats == "fp32" or x in self._wide
        return x if fits else self._cast(x, f"{x}:fp32", FLOAT)

    def in_floats(self, x: str) -> str:
        """Return a float value in the graph's own type."""
        return self._cast(x, f"{x}:fp16", FLOAT16) if x in self._wide else x

    def is_wide(self, x: str) -> bool:
        """Whether a value is fp32 in an fp16 graph."""
        return x in self._wide

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Add a constant; asked for again, it is stored once."""
        return self._initializer(name, np.asarray(value, dtype))

    def real(self, name: str, value: npt.ArrayLike, *, wide: bool = False) -> str:
        """Add a float constant in the graph's own type; a wide one is fp32 in an fp16 graph too.

        Raises:
            CheckpointError: If fp16 cannot hold it.
        """
        if not wide or self.form.floats == "fp32":
            return self._initializer(name, _within(self.floats, name, value))
        self._wide.add(f"{name}:fp32")
        return self._initializer(f"{name}:fp32", np.asarray(value, np.float32))

    def weight(
        self, name: str, *, transposed: bool = False, scale: float = 1.0, wide: bool = False
    ) -> str:
        """Add a tensor of the model under its own name; asked for again, it is stored once."""
        return self.real(name, self.array(name, transposed=transposed, scale=scale), wide=wide)

    def array(
        self, name: str, *, transposed: bool = False, scale: float = 1.0
    ) -> npt.NDArray[np.float32]:
        """Return a tensor of the model."""
        tensor = self.weights[name] if scale == 1.0 else self.weights[name] * scale
        array: npt.NDArray[np.float32] = (tensor.t() if transposed else tensor).contiguous().numpy()
        return array

    def _add(
        self,
        domain: str,
        operator: str,
        inputs: Sequence[str],
        name: str,
        attributes: Mapping[str, Attribute],
    ) -> str:
        """Add one node; its value is fp32 in an fp16 graph if one of its inputs is."""
        node = self.model.graph.node.add(
            op_type=operator, name=name, input=inputs, output=[name], domain=domain
        )
        for key, value in attributes.items():
            node.attribute.append(helper.make_attribute(key, value))
        self._nodes.add(name)
        if self._wide.intersection(inputs):
            self._wide.add(name)
        return name

    def _cast(self, x: str, name: str, kind: int) -> str:
        if not self.has(name):
            self.node("Cast", [x], name, to=kind)
            (self._wide.add if kind == FLOAT else self._wide.discard)(name)
        return name

    def _initializer(self, name: str, array: Array) -> str:
        if name not in self._initializers:
            self._initializers.add(name)
            tensor = self.model.graph.initializer.add()
            tensor.name = name
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.dims.extend(array.shape)
            tensor.raw_data = array.tobytes()
        return name


def _within(dtype: type[np.floating], name: str, value: npt.ArrayLike) -> Array:
    largest = float(np.abs(value).max(initial=0))
    if largest > float(np.finfo(dtype).max):
        raise CheckpointError(
            f"{name} reaches {largest:.2g}, and fp16 ends at 65504", "keep that module in fp32"
        )
    return np.asarray(value, dtype)
