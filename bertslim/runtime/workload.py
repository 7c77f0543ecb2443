"""What the engines of one checkpoint are given at one shape: words at random, or a task's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bertslim.model.shapes import flops
from bertslim.model.slim import SlimConfig
from bertslim.runtime.agreement import full_batch, padded_batch
from bertslim.runtime.engine import Batch
from bertslim.runtime.shape import Lengths


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Batches for one checkpoint."""

    timed: Sequence[Batch]
    """One run is a pass over all of them."""
    compared: Sequence[Batch]
    """What the outputs are compared with the reference's on; there is padding among it."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(batch, length) of each timed batch, the longest first."""
        found = {(len(ids), ids.shape[1]) for ids in (b["input_ids"] for b in self.timed)}
        return sorted(found, key=lambda size: -size[1])

    @property
    def lengths(self) -> Lengths:
        """How long the timed sequences are."""
        masks = [batch["attention_mask"] for batch in self.timed]
        tokens = np.concatenate([mask.sum(axis=1) for mask in masks])
        padding = 1 - tokens.sum() / sum(mask.size for mask in masks)
        return Lengths(float(tokens.mean()), int(tokens.max()), float(padding))

    def flops(self, config: SlimConfig) -> int:
        """Count the operations of all matrix products for one sequence, padding included."""
        counts = [flops(config, batch["input_ids"].shape[1]) for batch in self.timed]
        return round(sum(counts) / len(counts))


def random_words(config: SlimConfig, size: int, length: int, seed: int) -> Workload:
    """Make the batches of a shape of fixed length: a full one is timed, a padded one compared."""
    return Workload(
        timed=[full_batch(config, size, length, seed)],
        compared=[padded_batch(config, size, length, seed)],
    )
