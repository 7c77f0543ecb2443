"""The encoder in the operators that ONNX Runtime runs fastest on a CPU, its own among them.

Its own fused operators are not all faster than their parts. Where one is left out, the fusion is
noted with the reason; `scripts/onnxruntime_operators.py` measures each of them.
"""

from bertslim.graph.onnxruntime.attention import attended, masks, projected
from bertslim.graph.onnxruntime.embeddings import embeddings, rows
from bertslim.graph.onnxruntime.linear import activated, added_and_normed, linear
from bertslim.graph.onnxruntime.lstm import lstm

__all__ = [
    "activated",
    "added_and_normed",
    "attended",
    "embeddings",
    "linear",
    "lstm",
    "masks",
    "projected",
    "rows",
]
