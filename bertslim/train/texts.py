"""Texts without a task: what a model is calibrated on where nothing is known of its data."""

from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.encoding import encode
from bertslim.train.examples import Sample
from bertslim.train.readers import read_unlabelled
from bertslim.train.task import Layout, Task

LONGEST = 128
"""Tokens that a text is cut to."""


def read_texts(
    path: Path, model: SlimBertPreTrainedModel, tokenizer: PreTrainedTokenizerBase, sample: Sample
) -> Dataset:
    """Read a sample of the texts in a file, encoded: a line each, or a column `text`.

    Raises:
        DataError: If the file cannot be read, or holds no row.
    """
    config = model.config
    task = _pool(path, min(LONGEST, config.positions))
    data = read_unlabelled(task, [path], title="--text")
    chosen = data.shuffle(seed=sample.seed).select(range(min(sample.size, len(data))))
    types = config.reads_token_types
    return encode(chosen, task, tokenizer, (), positions=config.positions, token_types=types)


def _pool(path: Path, max_length: int) -> Task:
    return Task(
        name=path.stem,
        kind="text-classification",
        metric="",
        max_length=max_length,
        labels=(),
        train=(path,),
        validation=(),
        hub=None,
        layout=Layout(),
        columns={"text": "text"},
        stride=0,
        max_answer_length=0,
        null_threshold=None,
        mask_probability=0.0,
    )
