"""The kinds of successors, by the word that asks for each.

They are made in this order: what needs scores or a whole model to compare comes before layers go.
"""

from collections.abc import Callable, Mapping

from bertslim.methods.theseus.successors.layers import Layers
from bertslim.methods.theseus.successors.successor import Choices, Kind

KINDS: Mapping[str, Callable[[str, Choices], Kind]] = {
    "layers": Layers.read,
}
