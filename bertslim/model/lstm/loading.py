"""From a `slim_lstm` checkpoint to the model."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from bertslim.errors import CheckpointError
from bertslim.model.checking import check_tensors
from bertslim.model.families.family import ENCODER
from bertslim.model.lstm import modeling
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel
from bertslim.store.checkpoint import Checkpoint

BASE = "SlimLstm"
CLASSES = {
    name.removeprefix(BASE): getattr(modeling, name)
    for name in (
        "SlimLstmModel",
        "SlimLstmForSequenceClassification",
        "SlimLstmForTokenClassification",
    )
}
"""End of the class name -> class."""


def load_lstm(checkpoint: Checkpoint) -> SlimLstmPreTrainedModel:
    """Open a recurrent model with the head it was saved with, in evaluation mode and fp32.

    Raises:
        CheckpointError: With everything that is missing, superfluous, misshapen or not finite.
    """
    try:
        config = SlimLstmConfig.from_dict(checkpoint.config)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{checkpoint.path}/config.json has a bad value: {reason}", "correct it"
        ) from error
    head = (config.architectures or [BASE + ENCODER])[0].removeprefix(BASE)
    if head not in CLASSES:
        known = ", ".join(BASE + name for name in CLASSES)
        raise CheckpointError(f"{checkpoint.path} has a head of another kind (known: {known})")
    return assembled(checkpoint, config, head, checkpoint.read_tensors())


def assembled(
    checkpoint: Checkpoint, config: SlimLstmConfig, head: str, tensors: Mapping[str, Tensor]
) -> SlimLstmPreTrainedModel:
    """Put the tensors of a checkpoint into a model, after checking all of them."""
    with torch.device("meta"):
        model: SlimLstmPreTrainedModel = CLASSES[head](copy.deepcopy(config))
    wanted = model.state_dict()
    leftover = [f"unexpected tensor {name}" for name in sorted(tensors.keys() - wanted.keys())]
    shapes = {name: tensor.shape for name, tensor in wanted.items()}
    check_tensors(checkpoint.path, shapes, tensors, leftover)
    weights = {n: tensors[n].to(wanted[n].dtype).contiguous() for n in wanted}
    model.load_state_dict(weights, assign=True)
    model.train(False)
    return model
