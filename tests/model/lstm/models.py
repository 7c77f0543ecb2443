"""Tiny recurrent models with random weights."""

from pathlib import Path

import torch

from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.modeling import (
    SlimLstmForSequenceClassification,
    SlimLstmForTokenClassification,
    SlimLstmModel,
    SlimLstmPreTrainedModel,
)
from bertslim.model.saving import save_model
from tests.tiny import WORDS, tiny_tokenizer

CLASSES = {
    None: SlimLstmModel,
    "text-classification": SlimLstmForSequenceClassification,
    "text-regression": SlimLstmForSequenceClassification,
    "token-classification": SlimLstmForTokenClassification,
}
LETTERS = 9


def tiny_lstm(
    kind: str | None = "text-classification", **changes: object
) -> SlimLstmPreTrainedModel:
    """Return a model of 2 layers of 5 channels in each direction."""
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "vocab_size": len(WORDS),
        "embedding_size": 7,
        "hidden_size": 5,
        "num_hidden_layers": 2,
        "head_size": 6,
        "character_size": 3,
        "character_filters": 4,
        "word_length": 5,
        "initializer_range": 1.0,
    }
    if kind == "text-regression":
        settings |= {"num_labels": 1, "problem_type": "regression"}
    model = CLASSES[kind](SlimLstmConfig(**{**settings, **changes})).eval()
    encoder = getattr(model, "lstm", model)
    if encoder.embeddings.spelt:
        encoder.embeddings.spellings.random_(0, LETTERS)
    return model


def save_tiny_lstm(directory: Path, kind: str | None, **changes: object) -> Path:
    """Write a complete checkpoint."""
    save_model(tiny_lstm(kind, **changes), directory, tokenizer_from=None)
    tiny_tokenizer().save_pretrained(directory)
    return directory
