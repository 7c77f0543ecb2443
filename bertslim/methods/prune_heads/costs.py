"""What the parts of a model cost by their widths: plain numbers, wherever they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from bertslim.methods.prune_heads.parts import Kind, Part, parts_of, units_in
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.shapes import (
    LayerShape,
    attention_flops,
    ffn_flops,
    layer_shapes,
    targets_of_layers,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What is spent.

    Attributes:
        unit: What it is counted in.
        tables: Per part (units + 1,), what it costs with 0, 1, 2, ... units.
    """

    unit: str
    tables: Mapping[Part, Floats]

    @property
    def total(self) -> float:
        """Everything as it is."""
        return float(sum(table[-1] for table in self.tables.values()))

    def of(self, widths: Mapping[Part, int]) -> float:
        """Return what a model of such widths costs; parts that are not named are whole."""
        return float(sum(table[widths.get(part, -1)] for part, table in self.tables.items()))

    def share(self, kind: Kind, widths: Mapping[Part, int]) -> float:
        """Return the fraction of what parts of a kind cost that such widths still cost."""
        parts = [part for part in self.tables if part.kind == kind]
        whole = sum(float(self.tables[part][-1]) for part in parts)
        left = sum(float(self.tables[part][widths[part]]) for part in parts)
        return left / whole if whole else 1.0


def flops_costs(config: SlimBertConfig, length: int) -> Costs:
    """Count multiplications and additions in the layers, for one sequence.

    What is counted is what is computed: of a classifier of sequences the last layer goes on with
    one token. Where heads share keys and values, those that stay are counted as if each got its own
    copy: that is the most that surgery makes of them.
    """
    shapes, targets = layer_shapes(config), targets_of_layers(config, length)
    tables = {}
    for part in parts_of(config):
        whole, t = shapes[part.layer], targets[part.layer]
        narrowed = [_narrowed(whole, part, n) for n in range(units_in(config, part) + 1)]
        counts = [
            attention_flops(shape, t, length) if part.kind == "heads" else ffn_flops(shape, t)
            for shape in narrowed
        ]
        tables[part] = np.array(counts, dtype=np.float64)
    return Costs("FLOPs", tables)


def head_costs(config: SlimBertConfig) -> Costs:
    """Count heads, each alike; FFN units cost nothing."""
    tables = {
        part: np.arange(units_in(config, part) + 1.0) * (part.kind == "heads")
        for part in parts_of(config)
    }
    return Costs("heads", tables)


def measured_costs(
    config: SlimBertConfig, points: Mapping[Part, tuple[Sequence[int], Sequence[float]]]
) -> Costs:
    """Draw straight lines between some measured widths.

    A wider part never counts less than a narrower one: what noise says against that is evened out
    (isotonic regression). One without any unit costs nothing.

    Args:
        config: The model.
        points: Per part, ascending widths and their milliseconds.
    """
    tables = {}
    for part in parts_of(config):
        widths, times = points[part]
        rising = IsotonicRegression(y_min=0.0).fit_transform(widths, times)
        table = np.interp(np.arange(units_in(config, part) + 1), widths, rising)
        table[0] = 0.0
        tables[part] = table
    return Costs("ms", tables)


def _narrowed(whole: LayerShape[int], part: Part, units: int) -> LayerShape[int]:
    if part.kind == "ffn":
        return replace(whole, units=units)
    return replace(whole, heads=units, kv_heads=whole.kv_heads if units == whole.heads else units)
