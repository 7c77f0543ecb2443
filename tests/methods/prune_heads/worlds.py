"""Tiny models and rows to prune by."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.methods.prune_heads.evidence import Evidence, ScoreKind
from bertslim.methods.prune_heads.parts import Part, parts_of, units_in
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.encoding import Masking
from bertslim.train.examples import Examples, read_examples
from bertslim.train.task import load_task
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import lines_task

KEPT = [torch.ones(4, dtype=torch.bool)] * 2
WITHOUT_A_WORD = "\u4e00 \u4e00 \u4e00 \u4e00 \u4e00"


def rows(labels: Callable[[list[int]], list[int]] | None = None) -> Dataset:
    """Ten rows of five lengths; a class each, or what `labels` makes of the row's tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 30, (4 + n % 5,), generator=generator).tolist() for n in range(10)]
    given = [n % 2 for n in range(10)] if labels is None else [labels(i) for i in ids]
    return Dataset.from_dict({"input_ids": ids, "labels": given})


def evidence(
    data: Dataset | None = None,
    *,
    score: ScoreKind = "example",
    batch_size: int = 4,
    masking: Masking | None = None,
) -> Evidence:
    return Evidence(rows() if data is None else data, masking, score, batch_size)


def all_units(config: SlimBertConfig) -> dict[Part, Tensor]:
    """What is kept before anything goes."""
    return {part: torch.ones(units_in(config, part)).bool() for part in parts_of(config)}


def silence(model: SlimBertPreTrainedModel, layer: int, head: int) -> None:
    """Make a head say nothing: its columns of the output projection become 0."""
    with torch.no_grad():
        model.encoder.layers[layer].attention.output.weight[:, 8 * head : 8 * head + 8] = 0


CHUNKS = ("a the film was good", "it is very", "bob", WITHOUT_A_WORD, "end")


def masked_words(
    folder: Path, chunks: Sequence[str] = CHUNKS
) -> tuple[SlimBertPreTrainedModel, Examples]:
    """A masked language model and chunks of text, one without any word that can be masked."""
    task = lines_task(folder, "\n".join(chunks) + "\n")
    model = load_model(open_checkpoint(save_tiny_bert(folder / "m", "masked-lm")))
    return model, read_examples(task, "train", model, tiny_tokenizer())


def sentences(model: SlimBertPreTrainedModel, task: Path) -> Examples:
    """The validation sentences of a task file."""
    return read_examples(load_task(task), "validation", model, tiny_tokenizer())


def heads_in(masks: list[Tensor]) -> list[int]:
    return [int(mask.sum()) for mask in masks]
