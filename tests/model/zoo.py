"""Tiny stock models of every family and task, with weights wide enough to tell errors apart."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertOutput, SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.store.checkpoint import Checkpoint, open_checkpoint

FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert", "DistilBert", "Electra")
HEADS = {
    None: "Model",
    "text-classification": "ForSequenceClassification",
    "text-regression": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "masked-lm": "ForMaskedLM",
}
ALL = [(family, kind) for family in FAMILIES for kind in HEADS]


def stock_model(family: str, kind: str | None, **changes: Any) -> PreTrainedModel:
    """A stock model with random weights; RoBERTa's positions start behind its padding id."""
    settings: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    }
    settings |= {"hidden_dim" if family == "DistilBert" else "intermediate_size": 48}
    settings |= {"embedding_size": 16} if family == "Electra" else {}
    if kind == "text-regression":
        settings |= {"num_labels": 1, "problem_type": "regression"}
    elif kind in ("text-classification", "token-classification"):
        settings |= {"id2label": {0: "b", 1: "a", 2: "c"}, "label2id": {"b": 0, "a": 1, "c": 2}}
    config = getattr(transformers, f"{family}Config")(**{**settings, **changes})
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, family + HEADS[kind])(config).eval()
    randomise(model)
    return model


def randomise(model: torch.nn.Module) -> None:
    """Give biases and norms values as well; they start as zeros and ones."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))


def save_stock(directory: Path, family: str, kind: str | None, **changes: Any) -> Checkpoint:
    """Write a stock model as transformers does, and open the directory."""
    stock_model(family, kind, **changes).save_pretrained(directory)
    return open_checkpoint(directory)


def batch(family: str = "Bert") -> dict[str, Tensor]:
    """Three sentences of different lengths, padded with the family's padding id."""
    padding = 1 if "erta" in family or family == "Camembert" else 0
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 64, (3, 12), generator=generator)
    mask = torch.ones_like(ids)
    for row, length in enumerate((12, 7, 3)):
        ids[row, length:], mask[row, length:] = padding, 0
    return {"input_ids": ids, "attention_mask": mask}


def uneven(directory: Path, kind: str | None = "text-classification") -> SlimBertPreTrainedModel:
    """A BERT that lost two heads of layer 0 and all of layer 1."""
    model = load_model(save_stock(directory, "Bert", kind))
    return remove_heads(model, {0: (0, 2), 1: range(4)})


def run(model: torch.nn.Module, **inputs: Any) -> SlimBertOutput:
    """The model's outputs, without a graph."""
    with torch.no_grad():
        outputs: SlimBertOutput = model(**inputs)
    return outputs


def same(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two tensors have one shape and agree to the tolerance, absolutely."""
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance)
