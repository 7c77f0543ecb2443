"""Which tokens a masked language model has to guess (Devlin et al. 2019, section 3.1)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from bertslim.errors import CheckpointError
from bertslim.train.batching import IGNORED_LABEL, LOGITS_AT, Batch, Row, collate
from bertslim.train.task import Task

MASKED, REPLACED = 0.8, 0.1
"""Share of the chosen tokens that become [MASK], and a random token; the others stay."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Masking:
    """What masking needs to know about task and vocabulary."""

    probability: float
    mask_id: int
    words: Ids
    """The ids that are no special tokens."""


def masking_of(task: Task, tokenizer: PreTrainedTokenizerBase) -> Masking | None:
    """Return how this task masks tokens of this vocabulary; None unless it is masked-lm.

    Raises:
        CheckpointError: the tokenizer has no mask token.
    """
    if task.kind != "masked-lm":
        return None
    if tokenizer.mask_token_id is None:
        raise CheckpointError(
            f"the tokenizer {type(tokenizer).__name__} has no mask token",
            "masked-lm needs the tokenizer of a masked language model",
        )
    # Not all numbers below len(tokenizer) need be taken, and higher ones may be.
    words = np.setdiff1d(list(tokenizer.get_vocab().values()), tokenizer.all_special_ids)
    return Masking(task.mask_probability, tokenizer.mask_token_id, words)


def mask_tokens(batch: Batch, random: np.random.Generator, masking: Masking) -> Batch:
    """Mask a padded batch: changed `input_ids`, and `labels` with -100 where nothing is guessed.

    Each row has `probability` of its words chosen, and at least one. Special tokens and padding
    never are. Equal generators give equal masks.
    """
    ids = batch["input_ids"].copy()  # (batch, length)
    labels = np.full_like(ids, IGNORED_LABEL)
    allowed = np.isin(ids, masking.words) & (batch["attention_mask"] == 1)
    for row_ids, row_labels, row_allowed in zip(ids, labels, allowed, strict=True):
        _mask_row(row_ids, row_labels, np.flatnonzero(row_allowed), random, masking)
    return {**batch, "input_ids": ids, "labels": labels}


def ask_words(
    batch: Batch, random: np.random.Generator, masking: Masking, *, everywhere: bool
) -> Batch:
    """Mask a batch, and add where a model's logits are wanted: `logits_at`, (batch, length).

    Args:
        batch: A padded batch.
        random: Draws the masks.
        masking: How words are masked.
        everywhere: Whether logits are wanted of all tokens, or of those that are to be guessed.
    """
    masked = mask_tokens(batch, random, masking)
    at = batch["attention_mask"] == 1 if everywhere else masked["labels"] != IGNORED_LABEL
    return {**masked, LOGITS_AT: at}


def mask_by_number(row: Row, masking: Masking) -> Row:
    """Mask a chunk by its own number, so that neither batches nor epochs change the question."""
    alone = mask_tokens(collate([row], 0), np.random.default_rng([0, row["example"]]), masking)
    return {**row, "input_ids": alone["input_ids"][0], "labels": alone["labels"][0]}


def _mask_row(
    ids: Ids, labels: Ids, candidates: Ids, random: np.random.Generator, masking: Masking
) -> None:
    count = min(len(candidates), max(1, round(masking.probability * len(candidates))))
    chosen = random.choice(candidates, size=count, replace=False)
    labels[chosen] = ids[chosen]
    fate = random.random(count)
    ids[chosen[fate < MASKED]] = masking.mask_id
    replaced = chosen[(fate >= MASKED) & (fate < MASKED + REPLACED)]
    ids[replaced] = random.choice(masking.words, size=len(replaced))
