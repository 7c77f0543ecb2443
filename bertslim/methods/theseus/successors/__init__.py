"""The kinds of successors, by the word that asks for each.

They are made in this order, each from what the one before left: units are scored in the predecessor
as it is, keys are made in all of its layers, and layers go last.
"""

from collections.abc import Callable, Mapping

from bertslim.methods.theseus.successors.ffn import Ffn
from bertslim.methods.theseus.successors.kv_heads import KvHeads
from bertslim.methods.theseus.successors.layers import Layers
from bertslim.methods.theseus.successors.successor import Choices, Kind
from bertslim.methods.theseus.successors.window import Window

KINDS: Mapping[str, Callable[[str, Choices], Kind]] = {
    "ffn": Ffn.read,
    "kv-heads": KvHeads.read,
    "window": Window.read,
    "layers": Layers.read,
}
