"""What form a graph takes: whose operators it is written in, and in which precision it computes."""

from dataclasses import dataclass
from typing import Literal

from bertslim.model.quantization import Quantization


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is written down; the default is fp32 in operators of the ONNX standard."""

    dialect: Literal["standard", "onnxruntime"] = "standard"
    """`onnxruntime`: with the fused operators that only ONNX Runtime knows."""
    floats: Literal["fp32", "fp16"] = "fp32"
    """Of everything that is not int8."""
    quantization: Quantization | None = None
    """Which products compute in int8; None: none does."""
    windows: Literal["mask", "blocks"] = "mask"
    """How an attention keeps within its window: by a mask over all scores, or in blocks of tokens
    that attend to their surroundings alone."""
    dynamic: bool = False
    """int8 ranges are measured for every batch at run time (`onnxruntime` only)."""
    islands: frozenset[str] = frozenset()
    """In an fp16 graph, paths of modules that compute in fp32 all the same."""
    scales: Literal["floats", "fp32"] = "floats"
    """Type of the scales of linear layers in an fp16 graph: its own, or fp32 between casts. Those
    inside an attention have its own: with casts TensorRT would not fuse it (`standard` only)."""
    letters: Literal["convolution", "table"] = "convolution"
    """What a recurrent model that spells words reads their letters from: the characters of each
    word through its CNN, or a table of the CNN's answers, which is faster and larger."""


PLAIN = Form()
