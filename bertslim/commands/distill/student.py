"""The model that becomes the student, and how it reads: the input, or a recurrent model anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bertslim.errors import SettingsError

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from bertslim.commands.distill.job import Job
    from bertslim.commands.distill.lore import Lore, WordSource
    from bertslim.methods.distill.recurrent import RecurrentShape
    from bertslim.model.slim import SlimModel

TEXT_COLUMNS = ("text", "text_pair")


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """What the student comes from.

    Attributes:
        model: The student, or what it is cut out of.
        tokenizer: What it reads with.
        tokenizer_from: Where the tokenizer lies; None if it is a new one.
    """

    model: "SlimModel"
    tokenizer: "PreTrainedTokenizerBase"
    tokenizer_from: Path | None

    def save_tokenizer(self, directory: Path) -> None:
        """Write the tokenizer into a checkpoint."""
        from bertslim.store.checkpoint import copy_tokenizer

        if self.tokenizer_from is None:
            self.tokenizer.save_pretrained(directory)
        else:
            copy_tokenizer(self.tokenizer_from, directory)


def origin_of(job: "Job", lore: "Lore", words: "WordSource") -> Origin:
    """Open or build what becomes the student.

    Args:
        job: What is asked for.
        lore: The labels.
        words: What those of a recurrent student are made of.

    Raises:
        SettingsError: If no such student can be built for the task.
    """
    from bertslim.methods.distill.recurrent import RecurrentShape
    from bertslim.train.examples import load_tokenizer
    from bertslim.train.precision import choose_device, placed

    device = choose_device(job.training.device)
    shape, source = job.distill.student, job.source
    tokenizer = load_tokenizer(source.path)
    if not isinstance(shape, RecurrentShape):
        return Origin(placed(_opened(job, lore), device), tokenizer, source.path)
    if shape.sizes.words:
        tokenizer = _word_tokenizer(shape, words.texts, tokenizer)
    model = placed(_built(job, shape, lore.labels, tokenizer, words), device)
    return Origin(model, tokenizer, None if shape.sizes.words else source.path)


def _opened(job: "Job", lore: "Lore") -> "SlimModel":
    """Open the input with the head that it needs; where plain text is read, without one."""
    from bertslim.model.loading import load_encoder
    from bertslim.model.opening import open_for_task

    if job.reads_plain_text:
        return load_encoder(job.source)
    seed = job.training.seed
    return open_for_task(job.source, job.task.kind, lore.labels, unnamed=lore.unnamed, seed=seed)


def _word_tokenizer(
    shape: "RecurrentShape", texts: "Sequence[Dataset]", like: "PreTrainedTokenizerBase"
) -> "PreTrainedTokenizerBase":
    from bertslim.train.vocabulary import word_tokenizer

    whole = any("tokens" in data.column_names for data in texts)
    return word_tokenizer(_texts(texts), shape.sizes.words, like, whole=whole)


def _texts(sets: "Sequence[Dataset]") -> Iterator[str]:
    for data in sets:
        if "tokens" in data.column_names:
            yield from map(" ".join, data["tokens"])
        for name in TEXT_COLUMNS:
            if name in data.column_names:
                yield from data[name]


def _built(
    job: "Job",
    shape: "RecurrentShape",
    labels: tuple[str, ...],
    tokenizer: "PreTrainedTokenizerBase",
    words: "WordSource",
) -> "SlimModel":
    from bertslim.methods.distill.build import Reading, build
    from bertslim.train.vocabulary import words_of

    pairs = "text_pair" in job.task.columns
    if pairs:
        _check_pairs(job, tokenizer)
    padding = tokenizer.pad_token_id or 0
    reading = Reading(words_of(tokenizer), padding, pairs, type(tokenizer).__name__)
    table = _table(job, shape, tokenizer, words)
    if table is not None:
        shape = replace(shape, sizes=replace(shape.sizes, embedding=table.shape[1]))
    return build(shape, job.task.kind, labels, reading, table, seed=job.training.seed)


def _check_pairs(job: "Job", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a tokenizer that does not tell the texts of a pair apart."""
    types = tokenizer("a", "b", return_token_type_ids=True)["token_type_ids"]
    if 1 not in types:
        raise SettingsError(
            f"the tokenizer of {job.source.origin} does not tell which text of a pair a token is "
            "of, and a recurrent student has to know",
            "give --student a vocabulary of its own, such as words=20000",
        )


def _table(
    job: "Job",
    shape: "RecurrentShape",
    tokenizer: "PreTrainedTokenizerBase",
    source: "WordSource",
) -> "Tensor | None":
    """Return the vectors that words begin as; None: they are drawn."""
    if shape.table == "random":
        return None
    if job.vectors is not None:
        return _table_from_file(job.vectors, shape, tokenizer, job.training.seed)
    from bertslim.methods.distill.build import principal_channels
    from bertslim.methods.distill.vectors import in_text, piece_means, principal_table
    from bertslim.train.examples import load_tokenizer
    from bertslim.train.vocabulary import words_of

    own = source.teacher.get_input_embeddings().get_parameter("weight").detach().cpu().float()
    channels = principal_channels(shape, own.shape[1])
    theirs, words = load_tokenizer(source.tokenizer_from), words_of(tokenizer)
    if theirs.get_vocab() != tokenizer.get_vocab():
        pieces = theirs([in_text(word) for word in words], add_special_tokens=False)["input_ids"]
        return principal_table(piece_means(pieces, own), channels)
    return principal_table(own[: len(words)], channels)


def _table_from_file(
    path: Path, shape: "RecurrentShape", tokenizer: "PreTrainedTokenizerBase", seed: int
) -> "Tensor":
    import torch

    from bertslim.methods.distill.build import check_width
    from bertslim.methods.distill.vectors import plain, table_of
    from bertslim.train.readers.vectors import vectors_of
    from bertslim.train.vocabulary import words_of

    words = words_of(tokenizer)
    found = vectors_of(path, {plain(word) for word in words if word})
    vectors = {word: torch.from_numpy(vector) for word, vector in found.items()}
    check_width(shape, len(next(iter(vectors.values()))))
    return table_of(vectors, words, seed)
