"""Graphs that engines are built from: what a runtime cannot read, or cannot feed, is explained."""

from collections.abc import Collection

import numpy as np

from bertslim.errors import CheckpointError
from bertslim.model.signature import INPUTS, OUTPUTS
from bertslim.runtime.engine import Batch

CURE = "make the graph again: bertslim fuse, or bertslim quantize, for this runtime"


def unreadable(runtime: str, error: Exception) -> CheckpointError:
    """Explain that a runtime does not take a graph, by the last thing that it says."""
    lines = [line.strip(" -") for line in str(error).splitlines() if "https://" not in line]
    said = next((line for line in reversed(lines) if line), type(error).__name__)
    return CheckpointError(f"{runtime} cannot read the graph ({said})", CURE)


def refuse_foreign(inputs: Collection[str], outputs: Collection[str]) -> None:
    """Refuse a graph that is not fed as a BERT is, or gives something else.

    Raises:
        CheckpointError: Naming what it takes and gives, and what it should.
    """
    strange = [name for name in inputs if name not in INPUTS]
    missing = [name for name in INPUTS[:2] if name not in inputs]
    if strange or missing:
        raise CheckpointError(
            f"the graph takes {_listed(inputs)}; a BERT takes {_listed(INPUTS)}", CURE
        )
    if not all(name in OUTPUTS for name in outputs):
        raise CheckpointError(
            f"the graph gives {_listed(outputs)}; known are {_listed(OUTPUTS)}", CURE
        )


def some_words(shape: tuple[int, int]) -> Batch:
    """Return a batch for timing, (batch, length), whose words are those of any vocabulary."""
    ones = np.ones(shape, np.int64)
    return {"input_ids": ones, "attention_mask": ones}


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "nothing"
