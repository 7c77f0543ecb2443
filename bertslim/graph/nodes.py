"""The pen that writes ONNX nodes, each named after the module that it came from."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, TensorProto, helper

OPSET = 20
"""LayerNormalization came with 17, Gelu with 20: runtimes need not recognise them from pieces."""
IR_VERSION = 9
"""The oldest that holds opset 20, so that older runtimes open the file."""

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

Attribute = str | int | float | Sequence[int]
Dimension = str | int


class GraphBuilder:
    """Writes nodes and initializers; each method returns the name of the value that it made.

    A node and its value share a name: the module's path, a slash and the step
    (`bert.layers.3.ffn.output/matmul`), so that whatever a runtime reports leads to the module.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.weights = weights
        # Written in place: a 400 MB graph that is assembled from parts is copied at every step.
        self.model = ModelProto(ir_version=IR_VERSION, producer_name="bertslim")
        self.model.opset_import.append(helper.make_opsetid("", OPSET))
        self._initializers: set[str] = set()

    def input(self, name: str, shape: Sequence[Dimension]) -> str:
        """Declare an int64 input; a dimension that is a name is free."""
        value = helper.make_tensor_value_info(name, INT64, shape)
        self.model.graph.input.append(value)
        return name

    def output(self, x: str, name: str, shape: Sequence[Dimension]) -> None:
        """Hand out a float value under a public name."""
        self.node("Identity", [x], name)
        value = helper.make_tensor_value_info(name, FLOAT, shape)
        self.model.graph.output.append(value)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Attribute) -> str:
        """Add one node."""
        node = self.model.graph.node.add(op_type=operator, name=name, input=inputs, output=[name])
        for key, value in attributes.items():
            node.attribute.append(helper.make_attribute(key, value))
        return name

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Add a constant; asked for again, it is stored once."""
        return self._initializer(name, np.asarray(value, dtype))

    def weight(self, name: str, *, transposed: bool = False, scale: float = 1.0) -> str:
        """Add a tensor of the model under its own name; asked for again, it is stored once."""
        tensor = self.weights[name] if scale == 1.0 else self.weights[name] * scale
        array = (tensor.t() if transposed else tensor).contiguous().numpy()
        return self._initializer(name, array)

    def _initializer(self, name: str, array: npt.NDArray[np.generic]) -> str:
        if name not in self._initializers:
            self._initializers.add(name)
            tensor = self.model.graph.initializer.add()
            tensor.name = name
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.dims.extend(array.shape)
            tensor.raw_data = array.tobytes()
        return name
