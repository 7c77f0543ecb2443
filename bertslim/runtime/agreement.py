"""Whether an engine computes what the reference computes; asked before anything is timed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bertslim.model.slim import SlimConfig
from bertslim.runtime.engine import Array, Batch, Outputs

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1, "int8": 0.95}
"""Largest difference allowed, as a share of the largest reference output (at least of 1).

How good int8 is, only a task tells: words at random are not what it was calibrated on. On them,
four fine-tuned models that lose a point or less on their tasks were seen to differ by up to 0.6,
and by up to 0.9 without smoothing. Outputs that are all 0 differ by 1."""

PER_TOKEN = ("start_logits", "end_logits", "last_hidden_state")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an engine's outputs are from the reference's, and how far they may be."""

    difference: float | None
    """Largest absolute difference; None if an output is not a finite number."""
    allowed: float
    """Largest difference that still counts as the same model."""

    @property
    def holds(self) -> bool:
        """Whether the engine computes what the reference computes."""
        return self.difference is not None and self.difference <= self.allowed

    @property
    def fault(self) -> str:
        """What is wrong; empty if nothing is."""
        if self.difference is None:
            return "outputs are not finite numbers"
        allowed = f"allowed are {self.allowed:.2g}"
        found = f"differs from PyTorch fp32 by {self.difference:.2g}, {allowed}"
        return "" if self.holds else found


def compared(precision: str, outputs: Outputs, reference: Outputs, batch: Batch) -> Agreement:
    """Compare an engine's outputs of a batch with the reference's."""
    found = largest_difference(outputs, reference, batch)
    allowed = allowed_difference(precision, reference)
    return Agreement(found if math.isfinite(found) else None, allowed)


def worst(found: Sequence[Agreement]) -> Agreement:
    """Return the one of several batches that agrees least."""
    return max(found, key=lambda a: math.inf if a.difference is None else a.difference / a.allowed)


def full_batch(config: SlimConfig, size: int, length: int, seed: int) -> dict[str, Array]:
    """Random words without padding: (size, length). What is timed."""
    # the first half of a vocabulary holds the special tokens, padding among them
    words = np.random.default_rng(seed).integers(
        config.vocab_size // 2, config.vocab_size, (size, length)
    )
    batch: dict[str, Array] = {"input_ids": words, "attention_mask": np.ones_like(words)}
    if config.reads_token_types:
        batch["token_type_ids"] = np.zeros_like(words)
    return batch


def padded_batch(config: SlimConfig, size: int, length: int, seed: int) -> dict[str, Array]:
    """The same with padding: rows from full to half length, a single row half full."""
    batch = full_batch(config, size, length, seed)
    lengths = np.linspace(length, max(1, length // 2), max(size, 2)).astype(int)[-size:]
    mask = np.arange(length) < lengths[:, None]
    batch["attention_mask"] = mask.astype(np.int64)
    batch["input_ids"] = np.where(mask, batch["input_ids"], config.padding_id)
    return batch


def largest_difference(outputs: Outputs, reference: Outputs, batch: Batch) -> float:
    """Largest absolute difference of any output; what is computed for padding does not count.

    It is not finite if an output is not.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        found = [
            np.abs(_counted(name, outputs[name] - reference[name], batch)).max()
            for name in reference
        ]
    # unlike Python's, numpy's maximum of anything and NaN is NaN
    return float(np.max(found))


def all_finite(outputs: Outputs, batch: Batch) -> bool:
    """Whether all that counts of some outputs is finite numbers."""
    return all(np.isfinite(_counted(n, values, batch)).all() for n, values in outputs.items())


def allowed_difference(precision: str, reference: Outputs) -> float:
    """Largest difference that still counts as the same model."""
    largest = (np.abs(r).max(initial=1.0, where=np.isfinite(r)) for r in reference.values())
    return TOLERANCE[precision] * float(max(largest))


def _counted(name: str, values: Array, batch: Batch) -> Array:
    per_token = name in PER_TOKEN or values.ndim == 3
    return values[batch["attention_mask"] == 1] if per_token else values
