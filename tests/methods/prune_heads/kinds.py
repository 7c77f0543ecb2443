"""A tiny model and examples of every kind of task, for what has to work with all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset

from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from tests.methods.prune_heads.worlds import evidence, masked_words, rows
from tests.tiny import NEUTRAL, save_tiny_bert

CHUNKS = [" ".join([word] * (3 + n % 4)) for n, word in enumerate(NEUTRAL)]
World = tuple[SlimBertPreTrainedModel, Evidence]


def tagged() -> Dataset:
    return rows(lambda ids: [-100, *(i % 2 for i in ids[1:-1]), -100])


def scored() -> Dataset:
    data = rows()
    return data.remove_columns("labels").add_column("labels", [0.3 * n for n in range(len(data))])


def answered() -> Dataset:
    data = rows()
    ends = [len(ids) - 1 for ids in data["input_ids"]]
    starts = [n % 4 for n in range(len(data))]
    data = data.remove_columns("labels").add_column("start_positions", starts)
    return data.add_column("end_positions", ends)


DATA: dict[str, Callable[[], Dataset]] = {
    "text-classification": rows,
    "text-regression": scored,
    "token-classification": tagged,
    "question-answering": answered,
}
KINDS = (*DATA, "masked-lm")
every_kind = pytest.mark.parametrize("kind", KINDS)


def world(folder: Path, kind: str, batch_size: int = 4) -> World:
    """A model with random weights and about ten examples for it."""
    if kind == "masked-lm":
        model, examples = masked_words(folder, CHUNKS)
        return model, evidence(examples.encoded, masking=examples.masking, batch_size=batch_size)
    model = load_model(open_checkpoint(save_tiny_bert(folder / "m", kind)))
    return model, evidence(DATA[kind](), batch_size=batch_size)
