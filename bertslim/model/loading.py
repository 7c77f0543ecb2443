"""From a checkpoint to the canonical model."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bertslim.errors import CheckpointError, fault_list
from bertslim.model import modeling, stock
from bertslim.model.checking import check_tensors
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import ENCODER, WORDS
from bertslim.model.kinds import HEADS, KINDS, head_kind, model_kind
from bertslim.model.labels import label_order, nameless, set_labels
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.saving import save_model
from bertslim.model.twin import stock_reasons, zero_padded_twin
from bertslim.store.checkpoint import RECURRENT, Checkpoint

__all__ = [
    "KINDS",
    "head_kind",
    "load_encoder",
    "load_for_task",
    "load_model",
    "model_kind",
    "nameless",
    "save_model",
    "stock_reasons",
    "zero_padded_twin",
]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a checkpoint holds, in our terms.

    Attributes:
        path: The directory.
        config: Settings of the stored model.
        head: End of its class name.
        tensors: Its weights by our complete names (`bert.` also where there is no head).
        faults: What is wrong with them so far.
        untied: What is wrong with its decoder; of no concern to other heads.
    """

    path: Path
    config: SlimBertConfig
    head: str
    tensors: dict[str, Tensor]
    faults: list[str]
    untied: list[str]


def load_model(checkpoint: Checkpoint) -> SlimBertPreTrainedModel:
    """Open a model with the head it was saved with, in evaluation mode and fp32.

    Stock checkpoints, `slim_bert`, and transformers 4's `pruned_heads` are all read.

    Raises:
        CheckpointError: With everything that is missing, superfluous, misshapen or not finite.
    """
    stored = _read(checkpoint)
    return _assemble(stored, stored.config, stored.head, dict(stored.tensors))


def load_for_task(
    checkpoint: Checkpoint,
    kind: str,
    labels: Sequence[str] = (),
    *,
    unnamed: Sequence[str] = (),
    seed: int = 0,
) -> SlimBertPreTrainedModel:
    """Open a model with the head that a kind of task needs.

    A stored head of that kind is kept if it knows the same labels: its rows are put into the order
    of `labels`, and labels without names (`LABEL_0`, ...) take theirs in order. Otherwise the head
    is a new one. A classifier that could give several labels at once chooses one from here on.

    Args:
        checkpoint: A backbone, or a model with any head.
        kind: One of `KINDS`.
        labels: Names of the classes, in the order of their numbers; none: those of the checkpoint.
        unnamed: The same labels, in the order of outputs without names, if that is another.
        seed: Determines a new head's weights.

    Raises:
        CheckpointError: As `load_model`, or if a new head is needed and there are no labels.
    """
    stored = _read(checkpoint)
    config, head = copy.deepcopy(stored.config), HEADS[kind]
    config.architectures = [stock.BASE + head]
    if head != stored.head:
        config.pooler_activation = FAMILIES[config.family].poolers.get(head)
    order = label_order(stored.path, stored.config, kind, labels, unnamed)
    tensors = dict(stored.tensors)
    if order is None:
        tensors = {name: t for name, t in tensors.items() if name.startswith("bert.")}
    elif order:
        rows = torch.tensor(order)
        tensors |= {n: t[rows] for n, t in tensors.items() if n.startswith("classifier.")}
    set_labels(config, stored.config, kind, labels)
    model_tensors = _with_new_head(config, head, tensors, seed) if order is None else tensors
    return _assemble(stored, config, head, model_tensors)


def load_encoder(checkpoint: Checkpoint) -> SlimBertPreTrainedModel:
    """Open a model without its head; a pooler is taken for part of the head, if there is one.

    Raises:
        CheckpointError: As `load_model`.
    """
    stored = _read(checkpoint)
    config = copy.deepcopy(stored.config)
    if stored.head != ENCODER:
        config.architectures, config.pooler_activation = [stock.BASE + ENCODER], None
        config.problem_type, config.num_labels = None, 2
    return _assemble(stored, config, ENCODER, stored.tensors)


def _read(checkpoint: Checkpoint) -> Stored:
    """Translate what the checkpoint holds.

    Raises:
        CheckpointError: If its model type, head or settings are not ours to read.
    """
    raw, path = checkpoint.config, checkpoint.path
    if raw.get("model_type") == SlimBertConfig.model_type:
        return _read_slim(checkpoint)
    if checkpoint.is_recurrent:
        raise CheckpointError(
            f"{path} is a recurrent model ({RECURRENT}), and this is done to transformers alone",
            "those that take recurrent models: distill, finetune, evaluate, inspect, bench, fuse, "
            "quantize, export --format onnx",
        )
    family = FAMILIES.get(str(raw.get("model_type")))
    if family is None:
        raise CheckpointError(
            f'{path} is of model type "{raw.get("model_type")}"',
            f"bertslim reads {', '.join(FAMILIES)} and {SlimBertConfig.model_type}",
        )
    try:
        theirs = stock.stock_config(raw, family)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}/config.json has a bad value: {reason}", "correct it"
        ) from error
    faults = stock.setting_faults(raw, theirs, family)
    head = stock.head_of(raw, family)
    if faults or head is None:
        raise CheckpointError(fault_list(f"{path} cannot be used", faults), "see config.json")
    config = stock.read_settings(raw, theirs, family, head)
    tensors = stock.normalised(checkpoint.read_tensors(), family)
    if head == ENCODER and not any(".pooler." in name for name in tensors):
        config.pooler_activation = None
    names = _shapes(config, head)
    ours, leftover = stock.read_tensors(tensors, family, head, names)
    faults = [f"unexpected tensor {name}" for name in leftover]
    return Stored(path, config, head, ours, faults, stock.untied(tensors, family))


def _read_slim(checkpoint: Checkpoint) -> Stored:
    config = SlimBertConfig.from_dict(checkpoint.config)
    head = stock.head_of(checkpoint.config, None) or ENCODER
    prefix = "bert." if head == ENCODER else ""
    tensors = {prefix + name: t for name, t in checkpoint.read_tensors().items()}
    leftover = sorted(tensors.keys() - _shapes(config, head).keys())
    faults = [f"unexpected tensor {name}" for name in leftover]
    return Stored(checkpoint.path, config, head, tensors, faults, untied=[])


def _empty_model(config: SlimBertConfig, head: str) -> SlimBertPreTrainedModel:
    """A model whose weights have shapes and no values."""
    model_class: type[SlimBertPreTrainedModel] = getattr(modeling, stock.BASE + head)
    with torch.device("meta"):
        return model_class(config)


def _shapes(config: SlimBertConfig, head: str) -> dict[str, torch.Size]:
    """Complete names and shapes of a model's weights."""
    prefix = "bert." if head == ENCODER else ""
    weights = _empty_model(config, head).state_dict()
    return {prefix + name: weight.shape for name, weight in weights.items()}


def _with_new_head(
    config: SlimBertConfig, head: str, tensors: dict[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """Add what the head still lacks: N(0, initializer_range), biases 0, norms 1."""
    generator = torch.Generator().manual_seed(seed)
    result = dict(tensors)
    for name, shape in _shapes(config, head).items():
        if name in tensors or name.startswith(("bert.embeddings.", "bert.layers.")):
            continue
        if name.endswith("bias"):
            result[name] = torch.zeros(shape)
        elif "norm" in name:
            result[name] = torch.ones(shape)
        else:
            result[name] = torch.randn(shape, generator=generator) * config.initializer_range
    return result


def _assemble(
    stored: Stored, config: SlimBertConfig, head: str, tensors: Mapping[str, Tensor]
) -> SlimBertPreTrainedModel:
    """Put the tensors into a model, after checking all of them."""
    shapes = _shapes(config, head)
    untied = stored.untied if head == WORDS else []
    check_tensors(stored.path, shapes, tensors, [*stored.faults, *untied])
    model = _empty_model(config, head)
    prefix = "bert." if head == ENCODER else ""
    weights = {name.removeprefix(prefix): tensors[name].float().contiguous() for name in shapes}
    model.load_state_dict(weights, assign=True)
    model.train(False)
    return model
