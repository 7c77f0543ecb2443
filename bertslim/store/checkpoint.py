"""A checkpoint directory as it lies on disk: opened from its own files alone, never unpickled."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.errors import CheckpointError, fault_list

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "tf_model.h5")
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
HUB_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint directory.

    Attributes:
        path: The directory.
        config: `config.json`, parsed.
        shards: The safetensors files that hold the weights, by tensor order of their names.
    """

    path: Path
    config: dict[str, Any]
    shards: tuple[Path, ...]

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return every tensor's shape, read from the file headers alone."""
        from safetensors import safe_open

        shapes = {}
        for shard in self.shards:
            with safe_open(shard, framework="np") as file:
                names = file.keys()
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in names}
        return shapes

    def read_tensors(self) -> "dict[str, torch.Tensor]":
        """Read all weights.

        Raises:
            CheckpointError: If a weights file is cut short or is not safetensors.
        """
        from safetensors.torch import load_file

        return {name: t for shard in self.shards for name, t in load_file(shard).items()}

    def size_in_bytes(self) -> int:
        """Return the size of the weights on disk."""
        return sum(shard.stat().st_size for shard in self.shards)


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Open a checkpoint directory, or fetch one from the hub by its name.

    Args:
        source: A directory; or, where no such directory exists, a hub name such as
            `textattack/bert-base-uncased-SST-2`, of which only safetensors, JSON and
            vocabulary files are fetched.

    Raises:
        CheckpointError: With everything that is wrong with the directory.
    """
    path = Path(source).expanduser()
    if not path.exists():
        path = _fetch(str(source))
    if not path.is_dir():
        raise CheckpointError(f"{path} is a file", "give the directory that holds config.json")
    config, faults = _read_config(path)
    shards, weight_faults = _find_shards(path)
    faults += weight_faults
    if faults:
        raise CheckpointError(fault_list(f"{path} is not a checkpoint", faults), _cure(path))
    return Checkpoint(path, config, shards)


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


def _find_shards(path: Path) -> tuple[tuple[Path, ...], list[str]]:
    """Return the weight files, each with a readable header, or what is wrong with them."""
    if (path / WEIGHTS_INDEX).is_file():
        index = json.loads((path / WEIGHTS_INDEX).read_text(encoding="utf-8"))
        shards = tuple(path / name for name in sorted(set(index["weight_map"].values())))
    else:
        shards = (path / WEIGHTS,)
    faults = [fault for shard in shards if (fault := _shard_fault(shard))]
    if not (path / WEIGHTS).exists() and (pickled := _pickled_weights(path)):
        faults = [f"its weights are pickled ({pickled}), and unpickling can run any code"]
    return shards, faults


def _shard_fault(shard: Path) -> str:
    from safetensors import SafetensorError, safe_open

    if not shard.is_file():
        return f"{shard.name} is missing"
    try:
        with safe_open(shard, framework="np"):
            return ""
    except SafetensorError as error:
        return f"{shard.name} is damaged or cut short ({error})"


def _pickled_weights(path: Path) -> str:
    return next((name for name in PICKLED_WEIGHTS if (path / name).exists()), "")


def _cure(path: Path) -> str:
    if _pickled_weights(path):
        return f"convert it once: bertslim export {path} --format transformers --convert-pickle"
    below = sorted(p.parent.name for p in path.glob(f"*/{CONFIG}"))
    if below:
        return f"checkpoints in it: {', '.join(below[:8])}"
    return "a checkpoint is a directory with config.json and model.safetensors"


def _fetch(name: str) -> Path:
    """Download a checkpoint from the hub, or find it in the local cache."""
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(f"{name} does not exist", _neighbours(Path(name)))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_PATTERNS)))
    except HFValidationError as error:
        raise CheckpointError(f"{name} does not exist", _neighbours(Path(name))) from error
    except Exception as error:
        raise CheckpointError(
            f"{name} is no directory here, and the hub did not deliver it ({type(error).__name__})",
            _neighbours(Path(name)),
        ) from error


def _neighbours(path: Path) -> str:
    parent = path.expanduser().parent
    found = sorted(p.parent.name for p in parent.glob(f"*/{CONFIG}")) if parent.is_dir() else []
    return f"checkpoints in {parent}: {', '.join(found[:8])}" if found else "check the path"
