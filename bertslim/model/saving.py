"""Writing a model: as a stock checkpoint where stock classes can express it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bertslim.errors import CheckpointError
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import ENCODER
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.registration import AUTO_CLASSES, LSTM_CLASSES
from bertslim.model.slim import SlimConfig, SlimModel, head_of_model
from bertslim.model.stock import stock_settings, stock_tensors
from bertslim.model.twin import stock_reasons
from bertslim.store.checkpoint import CONFIG, WEIGHTS, copy_tokenizer

HERE = Path(__file__).parent
BERT_FILES = tuple(HERE / name for name in ("configuration.py", "layers.py", "modeling.py"))
"""Copied into a `slim_bert` checkpoint, which then opens without bertslim."""
LSTM_FILES = tuple(
    HERE / "lstm" / name for name in ("configuration.py", "crf.py", "layers.py", "modeling.py")
)
"""The same of a `slim_lstm` checkpoint."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is written down.

    Attributes:
        settings: For config.json.
        tensors: By their names in the file.
        code: The modelling files that go with it; none where transformers knows the type.
    """

    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    code: tuple[Path, ...]


def save_model(model: SlimModel, directory: Path, *, tokenizer_from: Path | None) -> None:
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
    form = _form(model)
    for file in form.code:
        shutil.copyfile(file, directory / file.name)
    text = json.dumps(form.settings, indent=2, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    weights = {n: form.tensors[n].detach().cpu().contiguous() for n in sorted(form.tensors)}
    try:
        save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
    except SafetensorError as error:
        raise CheckpointError(
            f"{directory / WEIGHTS} cannot be written ({error})", "free some space and run again"
        ) from error
    if tokenizer_from is not None:
        copy_tokenizer(tokenizer_from, directory)


def _form(model: SlimModel) -> Form:
    if isinstance(model, SlimLstmPreTrainedModel):
        return Form(_slim_settings(model.config, LSTM_CLASSES), model.state_dict(), LSTM_FILES)
    if stock_reasons(model.config):
        return Form(_slim_settings(model.config, AUTO_CLASSES), model.state_dict(), BERT_FILES)
    return _stock(model)


def _stock(model: SlimBertPreTrainedModel) -> Form:
    head = head_of_model(model)
    prefix = "bert." if head == ENCODER else ""
    ours = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    tensors = stock_tensors(ours, FAMILIES[model.config.family], head)
    return Form(stock_settings(model.config, head), tensors, ())


def _slim_settings(config: SlimConfig, auto_classes: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    settings.pop("transformers_version", None)
    classes = {auto: f"modeling.{name}" for auto, name in auto_classes.items()}
    settings["auto_map"] = {"AutoConfig": f"configuration.{type(config).__name__}", **classes}
    settings["dtype"] = "float32"
    return settings
