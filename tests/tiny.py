"""A tiny world for tests: a word list, checkpoints of two layers, and tasks that can be learnt."""

import json
import random
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOOD = ["good", "fine", "lovely", "bright"]
BAD = ["bad", "poor", "ugly", "dull"]
NEUTRAL = ["a", "the", "film", "book", "it", "was", "is", "very", "and", "story", "plot", "end"]
WORDS = [*SPECIAL, *GOOD, *BAD, *NEUTRAL, ".", ",", "##s", "##ly", "paris", "anna", "bob", "who"]

MODELS = {
    "text-classification": BertForSequenceClassification,
    "text-regression": BertForSequenceClassification,
    "token-classification": BertForTokenClassification,
    "question-answering": BertForQuestionAnswering,
    "masked-lm": BertForMaskedLM,
    None: BertModel,
}


def tiny_config(**changes: object) -> BertConfig:
    """Return the configuration of a BERT of 2 layers, 4 heads and 32 channels."""
    settings: dict[str, object] = {
        "vocab_size": len(WORDS),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        # wider than BERT's 0.02, so that random weights make outputs that differ
        "initializer_range": 0.2,
    }
    return BertConfig(**{**settings, **changes})


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a BERT tokenizer over `WORDS`."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def save_tiny_bert(
    directory: Path, kind: str | None = "text-classification", seed: int = 0, **changes: object
) -> Path:
    """Write a complete stock BERT checkpoint with random weights."""
    torch.manual_seed(seed)
    if kind == "text-regression":
        changes |= {"num_labels": 1, "problem_type": "regression"}
    MODELS[kind](tiny_config(**changes)).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return directory


def sentences(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Return sentences with a label: 1 when their one opinion word is a kind one."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        label = rng.randrange(2)
        words = rng.choices(NEUTRAL, k=rng.randint(3, 10))
        words.insert(rng.randrange(len(words)), rng.choice(GOOD if label else BAD))
        found.append((" ".join(words) + " .", label))
    return found


def write_sentence_task(directory: Path, train: int = 96, validation: int = 48) -> Path:
    """Write a text-classification task with its data; return the task file."""
    directory.mkdir(parents=True, exist_ok=True)
    for split, count, seed in (("train", train, 1), ("dev", validation, 2)):
        rows = [f"{text}\t{label}" for text, label in sentences(count, seed)]
        (directory / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    task = directory / "task.toml"
    task.write_text(
        'kind = "text-classification"\nmax_length = 32\n\n'
        '[data]\ntrain = "train.tsv"\nvalidation = "dev.tsv"\n\n'
        '[columns]\ntext = "sentence"\nlabel = "label"\n'
    )
    return task


def record_of(directory: Path) -> dict[str, object]:
    """Return a finished step's provenance."""
    return json.loads((directory / "provenance.json").read_text())
