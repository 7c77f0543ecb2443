"""A recurrent student with weights to begin from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.distill.recurrent import RecurrentKind, RecurrentShape
from bertslim.model.kinds import HEADS
from bertslim.model.labels import set_labels
from bertslim.model.lstm.configuration import Pooling, SlimLstmConfig
from bertslim.model.lstm.loading import BASE, CLASSES
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

SPELLING = 12
"""Characters of a word that are looked at (Izsak et al. 2019, by their code)."""
POOLINGS: dict[RecurrentKind, Pooling] = {"attentive-lstm": "attention"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a student reads.

    Attributes:
        vocabulary: Its words, by their numbers; "" where a number has none.
        padding: The number that fills short rows.
        pairs: Whether texts come in pairs.
        tokenizer: The class of its tokenizer.
    """

    vocabulary: Sequence[str]
    padding: int
    pairs: bool
    tokenizer: str


def build(
    shape: RecurrentShape,
    kind: str,
    labels: Sequence[str],
    reading: Reading,
    table: Tensor | None,
    *,
    seed: int,
) -> SlimLstmPreTrainedModel:
    """Make a student.

    Args:
        shape: What it looks like.
        kind: The kind of task.
        labels: In the order of its outputs; none for a regression.
        reading: What it reads.
        table: The vectors that its words begin as, (words, embedding); None: drawn at random.
        seed: Determines all weights that are drawn.
    """
    letters = _alphabet(reading.vocabulary) if shape.sizes.filters else []
    config = _config(shape, kind, labels, reading, len(letters))
    head = HEADS[kind]
    config.architectures = [BASE + head]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: SlimLstmPreTrainedModel = CLASSES[head](config)
    embeddings = model.encoder.embeddings
    with torch.no_grad():
        if table is not None:
            embeddings.words.weight.copy_(table)
        if letters:
            embeddings.spellings.copy_(_spellings(reading.vocabulary, letters))
    model.train(False)
    return model


def check_width(shape: RecurrentShape, available: int) -> None:
    """Refuse vectors of a file that have other channels than are asked for.

    Raises:
        SettingsError: If they have.
    """
    if "embedding" in shape.named and shape.sizes.embedding != available:
        raise SettingsError(
            f"--student has embedding={shape.sizes.embedding}, and the vectors of --embeddings "
            f"have {available} channels",
            f"give embedding={available}, or leave it out",
        )


def principal_channels(shape: RecurrentShape, channels: int) -> int:
    """Return how many channels of the teacher's table the words take: by default all, if few.

    Args:
        shape: Of the student.
        channels: Of the teacher's table.

    Raises:
        SettingsError: If more are asked for than there are.
    """
    wanted = shape.sizes.embedding
    if "embedding" in shape.named and wanted > channels:
        raise SettingsError(
            fault_list(
                "--student cannot begin with the teacher's words",
                [f"embedding={wanted}: the teacher's have {channels} channels"],
            ),
            f"give embedding={channels} or less, or --embeddings random",
        )
    return min(wanted, channels)


def _config(
    shape: RecurrentShape, kind: str, labels: Sequence[str], reading: Reading, characters: int
) -> SlimLstmConfig:
    sizes = shape.sizes
    config = SlimLstmConfig(
        vocab_size=len(reading.vocabulary),
        embedding_size=sizes.embedding,
        characters=characters + 1 if characters else 0,
        word_length=SPELLING,
        character_filters=sizes.filters,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        pooling=POOLINGS.get(shape.kind, "ends"),
        pairs=reading.pairs,
        head_size=sizes.head,
        crf=bool(sizes.crf),
        pad_token_id=reading.padding,
        tokenizer_class=reading.tokenizer,
    )
    set_labels(config, config, kind, labels)
    return config


def _alphabet(vocabulary: Sequence[str]) -> list[str]:
    return sorted({letter for word in vocabulary for letter in word[:SPELLING]})


def _spellings(vocabulary: Sequence[str], letters: Sequence[str]) -> Tensor:
    """Return (words, SPELLING): the number of each letter, from 1; 0 behind the last."""
    numbers = {letter: number for number, letter in enumerate(letters, start=1)}
    rows = [[numbers[letter] for letter in word[:SPELLING]] for word in vocabulary]
    return torch.tensor([row + [0] * (SPELLING - len(row)) for row in rows], dtype=torch.int16)
