"""From a `slim_lstm` checkpoint to the model."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bertslim.errors import CheckpointError
from bertslim.model.checking import check_tensors
from bertslim.model.families.family import ENCODER
from bertslim.model.kinds import HEADS
from bertslim.model.labels import label_order, set_labels
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
ENCODER_PREFIX = "lstm."


def load_lstm(checkpoint: Checkpoint) -> SlimLstmPreTrainedModel:
    """Open a recurrent model with the head it was saved with, in evaluation mode and fp32.

    Raises:
        CheckpointError: With everything that is missing, superfluous, misshapen or not finite.
    """
    config, head = _stored(checkpoint)
    return _assembled(checkpoint, config, head, checkpoint.read_tensors())


def load_lstm_for_task(
    checkpoint: Checkpoint,
    kind: str,
    labels: Sequence[str] = (),
    *,
    unnamed: Sequence[str] = (),
    seed: int = 0,
) -> SlimLstmPreTrainedModel:
    """Open a recurrent model with the head that a kind of task needs.

    Args:
        checkpoint: With any head, or none.
        kind: A kind of task.
        labels: Names of the classes, in the order of their numbers; none: those of the checkpoint.
        unnamed: The same labels, in the order of outputs without names, if that is another.
        seed: Determines a new head's weights.

    Raises:
        CheckpointError: As `load_lstm`, or if there is no such head, or no labels for a new one.
    """
    stored, _ = _stored(checkpoint)
    config, head = copy.deepcopy(stored), HEADS[kind]
    if head not in CLASSES:
        raise CheckpointError(
            f"{checkpoint.path} is a recurrent model, and none has a head for {kind}",
            "take a transformer",
        )
    config.architectures = [BASE + head]
    order = label_order(checkpoint.path, stored, kind, labels, unnamed)
    set_labels(config, stored, kind, labels)
    tensors = checkpoint.read_tensors()
    if order is None:
        tensors = _with_new_head(config, head, tensors, seed)
    elif order:
        tensors |= _in_order(tensors, torch.tensor(order))
    return _assembled(checkpoint, config, head, tensors)


def _stored(checkpoint: Checkpoint) -> tuple[SlimLstmConfig, str]:
    """Return the configuration, and the end of the class name."""
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
    return config, head


def _with_new_head(
    config: SlimLstmConfig, head: str, tensors: Mapping[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """Return a new model's tensors, with the encoder's in their place."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new: dict[str, Tensor] = CLASSES[head](copy.deepcopy(config)).state_dict()
    prefix = "" if any(name.startswith(ENCODER_PREFIX) for name in tensors) else ENCODER_PREFIX
    stored = {prefix + name: tensor for name, tensor in tensors.items()}
    return {
        **{name: tensor for name, tensor in new.items() if not name.startswith(ENCODER_PREFIX)},
        **{name: tensor for name, tensor in stored.items() if name.startswith(ENCODER_PREFIX)},
    }


def _in_order(tensors: Mapping[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
    """Return what has a row for each label, and the CRF's columns too, with these in this order."""
    rows = ("classifier.output.", "crf.")
    moved = {n: tensor[labels] for n, tensor in tensors.items() if n.startswith(rows)}
    return {n: t[:, labels] if n == "crf.transitions" else t for n, t in moved.items()}


def _assembled(
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
