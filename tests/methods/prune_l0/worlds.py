"""Small models, tasks of every kind for them, and settings."""

from pathlib import Path
from typing import Any

import torch

from bertslim.methods.prune_l0.settings import KINDS, PruneL0, Target
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Examples, read_examples
from bertslim.train.task import Task
from tests.model.zoo import randomise
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import conll_task, lines_task, small_task, squad_task

HALF = Target(0.5, "parameters")


def asked(**changes: Any) -> PruneL0:
    """Half of all layers is to go, from all kinds, with widths in steps of 4."""
    plain: dict[str, Any] = {
        "kinds": KINDS,
        "penalty": None,
        "target": HALF,
        "multiple": 4,
        "train": "gates",
        "gate_learning_rate": 0.3,
    }
    return PruneL0(**{**plain, **changes})


def classification(folder: Path) -> Task:
    rows = "\n".join(f"a {'good' if n % 2 else 'bad'} film\t{n % 2}" for n in range(24))
    return small_task(
        folder,
        'kind = "text-classification"\nmax_length = 16\n[data]\ntrain = "train.tsv"\n'
        '[columns]\ntext = "sentence"\n',
        {"train.tsv": f"sentence\tlabel\n{rows}\n"},
    )


def pairs(folder: Path) -> Task:
    rows = "\n".join(f"a film\tit was {'good' if n % 2 else 'bad'}\t{n % 2}" for n in range(24))
    return small_task(
        folder,
        'kind = "text-classification"\nmax_length = 16\n[data]\ntrain = "train.tsv"\n'
        '[columns]\ntext = ["one", "two"]\n',
        {"train.tsv": f"one\ttwo\tlabel\n{rows}\n"},
    )


def regression(folder: Path) -> Task:
    rows = "\n".join(f"a {'good' if n % 2 else 'bad'} film\t{n % 2 + 0.5}" for n in range(24))
    return small_task(
        folder,
        'kind = "text-regression"\nmax_length = 16\n[data]\ntrain = "train.tsv"\n'
        '[columns]\ntext = "sentence"\nlabel = "score"\n',
        {"train.tsv": f"sentence\tscore\n{rows}\n"},
    )


def words(folder: Path) -> Task:
    return lines_task(folder, "a the film was good\nit is very bad\nthe end is near\n" * 8)


TASKS = {
    "classification": ("text-classification", classification),
    "pairs": ("text-classification", pairs),
    "regression": ("text-regression", regression),
    "entities": ("token-classification", conll_task),
    "questions": ("question-answering", squad_task),
    "words": ("masked-lm", words),
}


def world(folder: Path, name: str = "classification") -> tuple[SlimBertPreTrainedModel, Examples]:
    """A model for one of `TASKS`, with weights that tell errors apart, and training rows."""
    kind, make = TASKS[name]
    task = make(folder)
    labels = {"entities": 4}.get(name, 2)
    changes = {"num_labels": labels} if kind.endswith("classification") else {}
    model = load_model(open_checkpoint(save_tiny_bert(folder / "model", kind, **changes)))
    torch.manual_seed(1)
    randomise(model)
    return model, read_examples(task, "train", model, tiny_tokenizer())
