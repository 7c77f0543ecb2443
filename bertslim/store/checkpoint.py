"""A checkpoint directory as it lies on disk: opened from its own files alone, never unpickled."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.errors import CheckpointError, fault_list
from bertslim.store.digest import file_digest, settings_digest

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
)
"""Those of the tokenizer's files that hold its words."""
TASKS = "tasks"
"""Folder of the whole models, by the tasks' names, where several tasks share an encoder."""
RECURRENT = "slim_lstm"
"""The model type of recurrent models."""
HUB_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint directory.

    Attributes:
        path: The directory.
        config: `config.json`, parsed.
        shards: The files that hold the weights: safetensors, or, where that was explicitly
            allowed, pickles.
        origin: What it was opened by: a path or a hub name.
    """

    path: Path
    config: dict[str, Any]
    shards: tuple[Path, ...]
    origin: str

    @property
    def place(self) -> Path:
        """Where it lies for its user, who never sees the folder that hub files are kept in."""
        if Path(self.origin).expanduser().exists():
            return self.path.resolve()
        return Path.cwd() / self.origin.rpartition("/")[2]

    @property
    def architecture(self) -> str:
        """The name of the model's class; "" where none is said."""
        return str(next(iter(self.config.get("architectures") or ()), ""))

    @property
    def is_recurrent(self) -> bool:
        """Whether it holds a recurrent model, and no transformer."""
        return self.config.get("model_type") == RECURRENT

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that share this encoder, whose whole models lie inside."""
        return tuple(sorted(file.parent.name for file in self.path.glob(f"{TASKS}/*/{CONFIG}")))

    def of_task(self, name: str) -> "Checkpoint":
        """Open the whole model of one of `tasks`.

        Raises:
            CheckpointError: As `open_checkpoint`.
        """
        found = open_checkpoint(self.path / TASKS / name)
        return replace(found, origin=f"{self.origin}/{TASKS}/{name}")

    def read_tensors(self) -> "dict[str, torch.Tensor]":
        """Read all weights.

        Raises:
            CheckpointError: If a pickle holds more than tensors.
        """
        return {name: t for shard in self.shards for name, t in _read_shard(shard).items()}

    def digest(self) -> str:
        """Return the digest of everything that determines what a step makes of the checkpoint.

        Only files that are read count: the same model made twice, or with a README beside it, is
        the same input.
        """
        return _digest_of([self.path / CONFIG, *self.shards, *self._tokenizer_files()])

    def tokenizer_digest(self) -> str:
        """Return the digest of the tokenizer's files."""
        return _digest_of(self._tokenizer_files())

    def _tokenizer_files(self) -> list[Path]:
        files = [self.path / name for name in TOKENIZER_FILES]
        return [file for file in files if file.is_file()]

    def size_in_bytes(self) -> int:
        """Return the size of the weights on disk."""
        return sum(shard.stat().st_size for shard in self.shards)


def _digest_of(files: Sequence[Path]) -> str:
    return settings_digest({file.name: file_digest(file) for file in files})


def open_checkpoint(source: str | Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Open a checkpoint directory, or fetch one from the hub by its name.

    Args:
        source: A directory; or, where no such directory exists, a hub name such as
            `textattack/bert-base-uncased-SST-2`, of which only safetensors, JSON and
            vocabulary files are fetched.
        allow_pickle: Also take pickled weights, of which only tensors are ever loaded.

    Raises:
        CheckpointError: With everything that is wrong with the directory.
    """
    try:
        path = Path(source).expanduser()
        if not path.exists():
            path = _fetch(str(source), allow_pickle=allow_pickle)
        if not path.is_dir():
            raise CheckpointError(f"{path} is a file", "give the directory that holds config.json")
        config, faults = _read_config(path)
        pickled = allow_pickle and _is_pickled(path)
        shards, weight_faults = _find_shards(path, PICKLED_WEIGHTS if pickled else WEIGHTS)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{source} cannot be opened: {error}", "check the path") from error
    if faults := faults + weight_faults:
        raise CheckpointError(fault_list(f"{path} is not a checkpoint", faults), _cure(path))
    return Checkpoint(path, config, shards, str(source))


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files, as they are, from one checkpoint into another."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _read_config(path: Path) -> tuple[dict[str, Any], list[str]]:
    file = path / CONFIG
    if not file.is_file():
        return {}, [f"{CONFIG} is missing"]
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{CONFIG} is not valid JSON ({error})"]
    if not isinstance(config, dict):
        return {}, [f"{CONFIG} holds no JSON object"]
    return config, []


def _find_shards(path: Path, weights: str) -> tuple[tuple[Path, ...], list[str]]:
    """Return the files that hold the weights, and what is wrong with them."""
    if weights == WEIGHTS and _is_pickled(path):
        return (), [f"its weights are pickled ({PICKLED_WEIGHTS}), and unpickling can run any code"]
    index = path / f"{weights}.index.json"
    names = {weights}
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return (), [f"{index.name} is not a valid index ({error!r})"]
    if outside := sorted(name for name in names if Path(str(name)).name != name):
        return (), [f"{index.name} names files elsewhere: {', '.join(map(str, outside))}"]
    shards = tuple(path / name for name in sorted(names))
    return shards, [fault for shard in shards if (fault := _shard_fault(shard))]


def _read_shard(shard: Path) -> "dict[str, torch.Tensor]":
    import pickle

    import torch
    from safetensors.torch import load_file

    if shard.suffix == ".safetensors":
        return load_file(shard)
    try:
        # weights_only: a pickle reader that knows tensors and refuses everything else
        tensors = torch.load(shard, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{shard} holds more than tensors, so it is not loaded") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{shard} is damaged or cut short ({error})") from error
    if not isinstance(tensors, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in tensors.values()
    ):
        raise CheckpointError(f"{shard} holds something else than one tensor per name")
    return tensors


def _shard_fault(shard: Path) -> str:
    from safetensors import SafetensorError, safe_open

    if not shard.is_file():
        return f"{shard.name} is missing"
    if shard.suffix != ".safetensors":
        return ""
    try:
        with safe_open(shard, framework="np"):
            return ""
    except SafetensorError as error:
        return f"{shard.name} is damaged or cut short ({error})"


def _is_pickled(path: Path) -> bool:
    names = (WEIGHTS, PICKLED_WEIGHTS)
    whole, pickled = ((path / n).exists() or (path / f"{n}.index.json").exists() for n in names)
    return pickled and not whole


def _cure(path: Path) -> str:
    if _is_pickled(path):
        return f"convert it once: bertslim export {path} --format transformers --convert-pickle"
    below = sorted(p.parent.name for p in path.glob(f"*/{CONFIG}"))
    if below:
        return f"checkpoints in it: {', '.join(below[:8])}"
    return "a checkpoint is a directory with config.json and model.safetensors"


def _fetch(name: str, *, allow_pickle: bool) -> Path:
    """Download a checkpoint from the hub, or find it in the local cache."""
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(f"{name} does not exist", _neighbours(Path(name)))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        patterns = [*HUB_PATTERNS, *(["pytorch_model*.bin"] if allow_pickle else [])]
        return Path(snapshot_download(name, allow_patterns=patterns))
    except HFValidationError as error:
        raise CheckpointError(f"{name} does not exist", _neighbours(Path(name))) from error
    except Exception as error:
        raise CheckpointError(
            f"{name} is no directory here, and the hub did not deliver it: {_hub_fault(error)}",
            _neighbours(Path(name)),
        ) from error


def _hub_fault(error: Exception) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    match error:
        case LocalEntryNotFoundError():
            return "it cannot be reached, or is not to be asked, and its cache has no copy"
        case GatedRepoError():
            return "it wants its terms to be accepted first"
        case RepositoryNotFoundError():
            return "it has nothing of this name, or nothing that you may see"
    return type(error).__name__


def _neighbours(path: Path) -> str:
    parent = path.expanduser().parent
    found = sorted(p.parent.name for p in parent.glob(f"*/{CONFIG}")) if parent.is_dir() else []
    return f"checkpoints in {parent}: {', '.join(found[:8])}" if found else "check the path"
