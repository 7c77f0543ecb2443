"""The encoder in the operators that ONNX Runtime runs fastest on a CPU, its own among them.

Its fused operators are not all of them faster than their parts: each one that is left out is noted
as a refusal, with the reason; `scripts/onnxruntime_operators.py` measures them.
"""

from bertslim.graph.contrib.attention import attention, masks
from bertslim.graph.contrib.embeddings import embeddings
from bertslim.graph.contrib.linear import activated, added_and_normed, linear

__all__ = ["activated", "added_and_normed", "attention", "embeddings", "linear", "masks"]
