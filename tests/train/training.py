"""Tiny models, rows and settings for the tests of the training loop."""

import random
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import (
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
)
from bertslim.train.settings import TrainSettings

VOCABULARY = 64
CLS, SEP, GOOD, BAD = 2, 3, 5, 6


def tiny_config() -> SlimBertConfig:
    return SlimBertConfig(
        vocab_size=VOCABULARY,
        embedding_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=2,
    )


def classifier(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return SlimBertForSequenceClassification(tiny_config())


def tagger(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return SlimBertForTokenClassification(tiny_config())


def sentences(count: int, seed: int = 0) -> Dataset:
    """Rows whose label is told by one of their words."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        label = rng.randrange(2)
        words = [rng.randrange(10, VOCABULARY) for _ in range(rng.randint(1, 9))]
        ids = [CLS, *words, GOOD if label else BAD, SEP]
        rows.append({"input_ids": ids, "labels": label, "example": number})
    return Dataset.from_list(rows)


def tagged(count: int, seed: int = 0) -> Dataset:
    """Rows with a label per token; some have few, and some none at all."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        ids = [rng.randrange(10, VOCABULARY) for _ in range(rng.randint(2, 12))]
        labels = [word % 2 if rng.random() < 0.5 else -100 for word in ids]
        rows.append({"input_ids": ids, "labels": [-100] * len(ids) if number % 5 == 0 else labels})
    return Dataset.from_list(rows)


def settings(**changes: Any) -> TrainSettings:
    """Two epochs with all that training can do switched on, but for dropout."""
    plain: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 8,
        "accumulation": 1,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup": 0.25,
        "clip": 1.0,
        "dropout": 0.0,
        "freeze_embeddings": False,
        "precision": "fp32",
        "seed": 0,
        "device": "cpu",
    }
    return TrainSettings(**{**plain, **changes})


def weights(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Every weight, bit by bit."""
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float) -> None:
    assert found.keys() == expected.keys()
    furthest = max(float((found[name] - expected[name]).abs().max()) for name in found)
    assert furthest <= atol
