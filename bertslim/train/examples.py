"""Rows of a task, read and encoded for one model, and how well it does on them."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bertslim.errors import CheckpointError, DataError
from bertslim.model.kinds import head_named
from bertslim.model.loading import model_kind, nameless
from bertslim.model.running import Decode, decoder_of, run_model
from bertslim.model.slim import SlimModel
from bertslim.store.checkpoint import VOCABULARIES
from bertslim.train.encoding import Masking, encode, masking_of
from bertslim.train.prediction import RESAMPLES, Run, Score, score
from bertslim.train.readers import (
    LABEL_ROLES,
    declared_labels,
    label_names,
    read_split,
    sorted_labels,
)
from bertslim.train.splits import hold_out
from bertslim.train.task import Split, Task

LABELLED = tuple(LABEL_ROLES)
"""Kinds of task whose outputs stand for named labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Some rows of a task.

    Attributes:
        task: The task; its labels are in the metric's order, which no checkpoint changes.
        labels: Names of the model's outputs, in their order; none where outputs have no names.
        data: The rows as people wrote them.
        encoded: The rows as the model reads them.
        pad_token_id: What fills short rows.
        masking: How words are masked; None unless the task is to guess them.
        decode: How the model's logits become tags, whatever computes them; None: one by one.
    """

    task: Task
    labels: tuple[str, ...]
    data: Dataset
    encoded: Dataset
    pad_token_id: int
    masking: Masking | None
    decode: Decode | None


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Open a checkpoint's tokenizer.

    Raises:
        CheckpointError: If there is none, or it cannot be read, or it is a slow one, which does not
            tell where its tokens stand in a text.
    """
    # Without its words transformers makes one up, of special tokens alone.
    if not any((directory / name).is_file() for name in VOCABULARIES):
        raise CheckpointError(
            f"{directory} has no tokenizer", "copy tokenizer.json from the model it was made from"
        )
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(directory)
    except Exception as error:  # tokenizers, which is Rust, raises no kind of its own
        raise CheckpointError(f"the tokenizer of {directory} cannot be read: {error}") from error
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"the tokenizer of {directory}, {type(tokenizer).__name__}, is a slow one",
            "bertslim needs a checkpoint with tokenizer.json",
        )
    return tokenizer


def prepare(
    data: Dataset, task: Task, model: SlimModel, tokenizer: PreTrainedTokenizerBase
) -> Examples:
    """Encode rows for a model; the task has its labels in the metric's order.

    Raises:
        CheckpointError: If the tokenizer has words that the model lacks.
        DataError: If the rows hold labels that the model does not know.
        SettingsError: If the task's texts are longer than the model has positions.
    """
    config = model.config
    check_vocabulary(tokenizer, config.vocab_size)
    labels = _output_labels(task, model) if task.kind in LABELLED else ()
    encoded = encode(
        data,
        task,
        tokenizer,
        labels,
        positions=config.positions,
        token_types=config.reads_token_types,
    )
    masking = masking_of(task, tokenizer)
    padding, decode = config.padding_id, decoder_of(model)
    return Examples(task, labels, data, encoded, padding, masking, decode)


@dataclass(frozen=True, slots=True)
class Sample:
    """A random choice of rows.

    Attributes:
        size: How many at the most.
        seed: Determines which.
    """

    size: int
    seed: int


def read_examples(
    task: Task,
    split: Split,
    model: SlimModel,
    tokenizer: PreTrainedTokenizerBase,
    sample: Sample | None = None,
) -> Examples:
    """Read and encode one split, or a sample of it, for a model that was trained on such a task.

    Raises:
        DataError: If the model has a head of another kind, or the data is not as the task says.
    """
    task = suited(task, model)
    return prepare(_drawn(read_split(task, split), sample), task, model, tokenizer)


def read_tuning(
    task: Task,
    model: SlimModel,
    tokenizer: PreTrainedTokenizerBase,
    sample: Sample,
) -> tuple[Examples, Examples]:
    """Read a sample of the training data, and the slice of it that `finetune` does not train on.

    What is tuned by a metric is tuned on the slice: a model knows the rest by heart, and the
    validation data is for reporting. The seed has to be that of the training.

    Raises:
        DataError: As `read_examples`, or if there are too few rows to hold some out.
    """
    task = suited(task, model)
    learnt, held_out = hold_out(read_split(task, "train"), sample.seed)
    rows = (_drawn(learnt, sample), held_out)
    drawn, tuning = (prepare(data, task, model, tokenizer) for data in rows)
    return drawn, tuning


def suited(task: Task, model: SlimModel) -> Task:
    """Return the task with its labels in order, if the model has a head for it.

    Raises:
        DataError: If it has another, or none.
    """
    if (kind := model_kind(model)) != task.kind:
        raise DataError(
            f"task {task.name} is {task.kind}, but the model does not fit: {head_named(kind)}",
            f"bertslim finetune MODEL --task {task.name}.toml gives it such a head; one of several "
            f"tasks has a model with it in MODEL/tasks/{task.name}",
        )
    return replace(task, labels=_ordered_labels(task, model)) if task.kind in LABELLED else task


def _drawn(data: Dataset, sample: Sample | None) -> Dataset:
    if sample is None or sample.size >= len(data):
        return data
    return data.shuffle(seed=sample.seed).select(range(sample.size))


def model_labels(model: SlimModel) -> tuple[str, ...]:
    """Return the names of a classifier's outputs, in their order."""
    return tuple(name for _, name in sorted((model.config.id2label or {}).items()))


def _ordered_labels(task: Task, model: SlimModel) -> tuple[str, ...]:
    """Return the labels in the task's order; training data is read only if nothing else tells."""
    if declared := declared_labels(task):
        return declared
    names = model_labels(model)
    return label_names(task, read_split(task, "train")) if nameless(names) else sorted_labels(names)


def _output_labels(task: Task, model: SlimModel) -> tuple[str, ...]:
    """Return the model's labels; one that was saved without names has the task's, in order."""
    names = model_labels(model)
    if not nameless(names):
        return names
    if len(task.labels) != len(names):
        raise DataError(
            f"the model tells {len(names)} classes apart, task {task.name} has {len(task.labels)}",
            "take the task that the model was trained on, or fine-tune the model on this one",
        )
    return task.labels


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """See whether a model has an embedding for every word of a tokenizer.

    Raises:
        CheckpointError: If it has not.
    """
    words = max(tokenizer.get_vocab().values()) + 1
    if words > rows:
        raise CheckpointError(
            f"the tokenizer of {tokenizer.name_or_path} knows {words} words, the model {rows}",
            "copy tokenizer.json from the model it was made from",
        )


def score_run(
    run: Run, examples: Examples, *, batch_size: int = 32, resamples: int = RESAMPLES
) -> Score:
    """Score anything that runs the model: PyTorch, or the engine of another runtime."""
    return score(
        run,
        examples.encoded,
        examples.data,
        examples.task,
        examples.labels,
        batch_size=batch_size,
        pad_token_id=examples.pad_token_id,
        masking=examples.masking,
        decode=examples.decode,
        resamples=resamples,
    )


def score_model(model: SlimModel, examples: Examples) -> Score:
    """Score the model itself, as it is and where it is."""
    return score_run(functools.partial(run_model, model), examples)


def selection_score(model: SlimModel, examples: Examples) -> Score:
    """Score the model to choose between epochs, which needs no confidence interval."""
    return score_run(functools.partial(run_model, model), examples, resamples=0)
