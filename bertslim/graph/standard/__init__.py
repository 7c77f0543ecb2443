"""The encoder in operators of the ONNX standard, which every runtime reads and fuses by itself."""

from bertslim.graph.standard.attention import attended, masks, projected
from bertslim.graph.standard.embeddings import embeddings, rows
from bertslim.graph.standard.linear import activated, added_and_normed, linear
from bertslim.graph.standard.lstm import lstm

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
