"""The encoder in operators of the ONNX standard, which every runtime reads and fuses by itself."""

from bertslim.graph.standard.attention import attended, masks, projected
from bertslim.graph.standard.embeddings import embeddings
from bertslim.graph.standard.linear import activated, added_and_normed, linear

__all__ = [
    "activated",
    "added_and_normed",
    "attended",
    "embeddings",
    "linear",
    "masks",
    "projected",
]
