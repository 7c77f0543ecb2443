"""The recurrent models as ONNX nodes; tensors are time-major, (length, batch, width), as LSTM's."""

from bertslim.graph.recurrent.model import HEADS

__all__ = ["HEADS"]
