"""Interrupted training goes on where it stopped: one file holds it all, replaced in one rename."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bertslim.errors import TrainingError

STATE_FILE = "training-state.safetensors"

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class ResumeFolder:
    """Where a run keeps its state; the caller gives every request a folder of its own."""

    path: Path
    seconds: float
    """How often the state is saved; also at the end of each epoch and when interrupted."""


@dataclass(slots=True)
class Progress:
    """How far training has come; what is random follows from the seed and these positions."""

    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Batches done in the epoch under way."""
    step: int = 0
    """Batches done since the start."""
    sums: dict[str, float] = field(default_factory=dict)
    """Losses of the epoch under way, summed over its batches."""
    losses: list[dict[str, float]] = field(default_factory=list)
    """Mean losses of each finished epoch."""
    metrics: list[float] = field(default_factory=list)
    """What `evaluate` gave after each finished epoch."""
    best_epoch: int = 0
    """The epoch, from 1, whose weights are the best so far; 0 before there is one."""
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Time spent in steps."""

    @property
    def tokens_per_second(self) -> float:
        """How fast training is, over all its sessions."""
        return self.tokens / self.seconds if self.seconds else 0.0


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what a model has to remember, each shared tensor once."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    return {name: tensor.detach() for name, tensor in tensors}


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's weights as they are now."""
    return {name: tensor.clone() for name, tensor in named_tensors(model).items()}


def put_weights(model: nn.Module, weights: Weights) -> None:
    """Overwrite the model's weights in place."""
    for name, tensor in named_tensors(model).items():
        tensor.copy_(weights[name])


def save_state(
    folder: ResumeFolder,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Weights,
) -> None:
    """Save all that is needed to go on. The state before stays until this one is whole.

    Raises:
        TrainingError: the disk is full or cannot be written.
    """
    tensors = {
        **_prefixed("model", named_tensors(model)),
        **_prefixed("optimizer", _moments(model, optimizer)),
        **_prefixed("best", best),
    }
    target = folder.path / STATE_FILE
    unfinished = target.with_suffix(".partial")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        save_file(tensors, unfinished, metadata={"progress": json.dumps(asdict(progress))})
        _flush_to_disk(unfinished)
        unfinished.replace(target)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise TrainingError(
            f"the training state could not be saved in {folder.path}: {error}",
            "make room there and run the same command again; it goes on from the last saved state",
        ) from error


def load_state(
    folder: ResumeFolder, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Bring model and optimizer back to the saved state.

    Returns:
        The position and the best weights so far; a fresh start where nothing was saved.

    Raises:
        TrainingError: the file is damaged or belongs to another model.
    """
    path = folder.path / STATE_FILE
    if not path.exists():
        return Progress(), {}
    try:
        tensors, metadata = _read(path)
        progress = Progress(**json.loads(metadata["progress"]))
        put_weights(model, _without_prefix("model", tensors))
        _put_moments(model, optimizer, _without_prefix("optimizer", tensors))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"the saved training state {path} cannot be read: {error}",
            "add --restart to forget it and train from the beginning",
        ) from error
    return progress, _without_prefix("best", tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as state:
        names = state.keys()
        return {name: state.get_tensor(name) for name in names}, state.metadata()


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _put_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: Weights) -> None:
    parameters = dict(model.named_parameters())
    for name, value in moments.items():
        parameter, key = name.rsplit("/", 1)
        state: dict[str, Any] = optimizer.state[parameters[parameter]]
        state[key] = value.to(parameters[parameter].device)


def _prefixed(prefix: str, tensors: Weights) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor.contiguous() for name, tensor in tensors.items()}


def _without_prefix(prefix: str, tensors: Weights) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())
