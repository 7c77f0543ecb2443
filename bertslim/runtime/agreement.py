"""Whether an engine computes what the reference computes; asked before anything is timed."""

import numpy as np

from bertslim.model.configuration import SlimBertConfig
from bertslim.runtime.engine import Array, Batch, Outputs

TOLERANCE = {"fp32": 1e-3, "bf16": 1e-1}
"""Largest difference allowed, as a share of the largest reference output (at least of 1)."""

PER_TOKEN = ("start_logits", "end_logits", "last_hidden_state")


def full_batch(config: SlimBertConfig, size: int, length: int, seed: int) -> dict[str, Array]:
    """Random words without padding: (size, length). What is timed."""
    # the first half of a vocabulary holds the special tokens, padding among them
    words = np.random.default_rng(seed).integers(
        config.vocab_size // 2, config.vocab_size, (size, length)
    )
    batch: dict[str, Array] = {"input_ids": words, "attention_mask": np.ones_like(words)}
    if config.type_vocab_size > 1:
        batch["token_type_ids"] = np.zeros_like(words)
    return batch


def padded_batch(config: SlimBertConfig, size: int, length: int, seed: int) -> dict[str, Array]:
    """The same with padding: rows from full to half length, a single row half full."""
    batch = full_batch(config, size, length, seed)
    lengths = np.linspace(length, max(1, length // 2), max(size, 2)).astype(int)[-size:]
    mask = np.arange(length) < lengths[:, None]
    batch["attention_mask"] = mask.astype(np.int64)
    batch["input_ids"] = np.where(mask, batch["input_ids"], config.pad_token_id or 0)
    return batch


def largest_difference(outputs: Outputs, reference: Outputs, batch: Batch) -> float:
    """Largest absolute difference of any output; what is computed for padding does not count."""
    return max(
        float(np.abs(_counted(name, outputs[name] - reference[name], batch)).max())
        for name in reference
    )


def allowed_difference(precision: str, reference: Outputs) -> float:
    """Largest difference that still counts as the same model."""
    return TOLERANCE[precision] * max(1.0, *(float(np.abs(r).max()) for r in reference.values()))


def _counted(name: str, values: Array, batch: Batch) -> Array:
    per_token = name in PER_TOKEN or values.ndim == 3
    return values[batch["attention_mask"] == 1] if per_token else values
