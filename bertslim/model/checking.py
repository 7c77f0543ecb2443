"""Whether tensors are those that a configuration asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bertslim.errors import CheckpointError, fault_list

MOST_FAULTS = 12
"""How many tensors one message names."""


def check_tensors(
    path: Path,
    shapes: Mapping[str, torch.Size],
    tensors: Mapping[str, Tensor],
    faults: Sequence[str] = (),
) -> None:
    """Refuse tensors that do not make a model.

    Args:
        path: The checkpoint.
        shapes: What is needed.
        tensors: What there is; more of them are the caller's to judge.
        faults: What is wrong besides.

    Raises:
        CheckpointError: With everything that is missing, misshapen or not finite.
    """
    found = [*faults, *_tensor_faults(shapes, tensors)]
    if not found:
        return
    more = len(found) - MOST_FAULTS
    shown = [*found[:MOST_FAULTS], *([f"and {more} more"] if more > 0 else [])]
    raise CheckpointError(
        fault_list(f"{path} cannot be loaded", shown),
        "config.json and the weights do not belong together, or training diverged: "
        "save the model again, or take an earlier checkpoint",
    )


def _tensor_faults(shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]) -> list[str]:
    faults = []
    for name, shape in shapes.items():
        if name not in tensors:
            faults.append(f"missing tensor {name}")
        elif tensors[name].shape != shape:
            faults.append(
                f"{name} is {tuple(tensors[name].shape)}, config.json says {tuple(shape)}"
            )
        elif not tensors[name].isfinite().all():
            faults.append(f"{name} has values that are not finite")
    return faults
