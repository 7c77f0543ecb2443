"""Writing a model: as a stock checkpoint where stock classes can express it."""

import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from bertslim.errors import CheckpointError
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import ENCODER
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.registration import AUTO_CLASSES
from bertslim.model.stock import BASE, stock_settings, stock_tensors
from bertslim.model.twin import stock_reasons
from bertslim.store.checkpoint import CONFIG, WEIGHTS, copy_tokenizer

MODELLING_FILES = ("configuration.py", "layers.py", "modeling.py")
"""Copied into a `slim_bert` checkpoint, which then opens without bertslim."""


def save_model(
    model: SlimBertPreTrainedModel, directory: Path, *, tokenizer_from: Path | None
) -> None:
    """Write config.json, model.safetensors and the tokenizer.

    Args:
        model: The model; `architectures` in its configuration follows its class.
        directory: Made if it is not there.
        tokenizer_from: Checkpoint whose tokenizer is copied.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    if stock_reasons(model.config):
        settings, tensors = _slim_settings(model.config), dict(model.state_dict())
        for name in MODELLING_FILES:
            shutil.copyfile(Path(__file__).with_name(name), directory / name)
    else:
        settings, tensors = _stock(model)
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    weights = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    try:
        save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
    except SafetensorError as error:
        raise CheckpointError(
            f"{directory / WEIGHTS} cannot be written ({error})", "free some space and run again"
        ) from error
    if tokenizer_from is not None:
        copy_tokenizer(tokenizer_from, directory)


def _stock(model: SlimBertPreTrainedModel) -> tuple[dict[str, Any], dict[str, Tensor]]:
    head = type(model).__name__.removeprefix(BASE)
    prefix = "bert." if head == ENCODER else ""
    ours = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    tensors = stock_tensors(ours, FAMILIES[model.config.family], head)
    return stock_settings(model.config, head), tensors


def _slim_settings(config: SlimBertConfig) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    settings.pop("transformers_version", None)
    classes = {auto: f"modeling.{name}" for auto, name in AUTO_CLASSES.items()}
    settings["auto_map"] = {"AutoConfig": "configuration.SlimBertConfig", **classes}
    settings["dtype"] = "float32"
    return settings
