"""Tiny predecessors, what they are replaced by, and what is learnt from."""

from pathlib import Path
from typing import Any

from bertslim.methods.theseus.settings import Theseus
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, read_examples
from bertslim.train.task import Task
from tests.tiny import save_tiny_bert, tiny_tokenizer

LAYERS = 4


def wishes(successor: str = "layers=1/2", **changes: Any) -> Theseus:
    plain: dict[str, Any] = {
        "initialise": "first",
        "sharing": "index",
        "schedule": "linear",
        "rate": 0.3,
        "full_at": "1.0",
        "finetune_epochs": 1,
        "unfreeze": False,
        "distill": 0.0,
    }
    return Theseus(successor, **{**plain, **changes})


def predecessor(
    folder: Path, kind: str = "text-classification", **changes: Any
) -> SlimBertPreTrainedModel:
    """Four layers with random weights."""
    settings: dict[str, Any] = {"num_hidden_layers": LAYERS, **changes}
    return load_model(open_checkpoint(save_tiny_bert(folder, kind, **settings)))


def examples(task: Task, model: SlimBertPreTrainedModel, count: int = 32) -> Examples:
    """The first rows of the training data."""
    from dataclasses import replace

    found = read_examples(task, "train", model, tiny_tokenizer())
    count = min(count, len(found.encoded))
    return replace(found, encoded=found.encoded.select(range(count)))
