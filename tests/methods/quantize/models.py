"""Small models with random weights, and rows of token ids for them."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.methods.quantize.observe import Rows
from bertslim.model.configuration import LayerWidths, SlimBertConfig, with_widths
from bertslim.model.modeling import (
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.train.batching import collate

VOCABULARY, LENGTH = 64, 32


def config(**changes: Any) -> SlimBertConfig:
    plain: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "embedding_size": 32,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": LENGTH,
        "num_labels": 3,
        "pooler_activation": "tanh",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # wide enough for outputs that differ
        "initializer_range": 0.2,
    }
    return SlimBertConfig(**{**plain, **changes})


def made(
    kind: type[SlimBertPreTrainedModel], shape: SlimBertConfig | None = None
) -> SlimBertPreTrainedModel:
    """Return a model of that class in evaluation mode, its biases and norms random as well."""
    torch.manual_seed(0)
    model = kind(shape or config())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def classifier(**changes: Any) -> SlimBertPreTrainedModel:
    return made(SlimBertForSequenceClassification, config(**changes))


def tagger(**changes: Any) -> SlimBertPreTrainedModel:
    return made(SlimBertForTokenClassification, config(**changes))


def uneven() -> SlimBertPreTrainedModel:
    """Shared keys, a layer without heads, one without an FFN, and projected embeddings."""
    widths = [
        LayerWidths(heads=4, kv_heads=2, head_dim=8, intermediate_size=24, window=None),
        LayerWidths(heads=0, kv_heads=0, head_dim=8, intermediate_size=64, window=None),
        LayerWidths(heads=1, kv_heads=1, head_dim=8, intermediate_size=0, window=4),
    ]
    return made(SlimBertForTokenClassification, with_widths(config(embedding_size=16), widths))


def encoder() -> SlimBertPreTrainedModel:
    return made(SlimBertModel)


def token_rows(lengths: Sequence[int] = (3, 9, 5, 12, 1, 7, 2, 20, 4, 6)) -> Dataset:
    rng = random.Random(0)
    ids = [[rng.randrange(5, VOCABULARY) for _ in range(length)] for length in lengths]
    return Dataset.from_dict({"input_ids": ids, "example": list(range(len(ids)))})


def rows(batch_size: int = 4, **changes: Any) -> Rows:
    return Rows(token_rows(**changes), batch_size)


def batch() -> dict[str, Tensor]:
    """All rows in one."""
    arrays = collate(list(token_rows()), 0)
    return {name: torch.from_numpy(arrays[name]) for name in ("input_ids", "attention_mask")}


def outputs(model: SlimBertPreTrainedModel) -> Tensor:
    with torch.no_grad():
        found = model(**batch())
    return found.logits if found.get("logits") is not None else found.last_hidden_state


def in_int8(model: SlimBertPreTrainedModel) -> set[str]:
    """Paths of all that computes in int8 right now."""
    return {path for path, m in model.named_modules() if type(m).__name__.startswith("Int8")}
