"""Writes small task files and their data, one per kind, for the tests of the data side."""

import json
from collections.abc import Mapping
from pathlib import Path

from bertslim.train.task import Task, load_task

CONTEXT = "anna was the end . bob is in paris , the good story is very bright ."

SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": " who is in paris",
                            "answers": [
                                {"text": "bob", "answer_start": 19},
                                {"text": "bob is", "answer_start": 19},
                            ],
                        },
                        {"id": "q2", "question": "who", "answers": [], "is_impossible": True},
                    ],
                },
                {
                    "context": "the plot was poor .",
                    "qas": [
                        {
                            "id": "q3",
                            "question": "the plot was",
                            "answers": [{"text": "poor", "answer_start": 13}],
                        }
                    ],
                },
            ]
        }
    ]
}

CONLL = "anna\tB-PER\nwas\tO\nparis\tB-LOC\n\nbob\tB-PER\nfilms\tI-PER\nend\tO\n"


def write_task(folder: Path, document: str, files: Mapping[str, str]) -> Path:
    """Write a task file and what it names; return the task file."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    path = folder / "small.toml"
    path.write_text(document, encoding="utf-8")
    return path


def small_task(folder: Path, document: str, files: Mapping[str, str]) -> Task:
    """Write a task and load it."""
    return load_task(write_task(folder, document, files))


def tsv_task(folder: Path, train: str, *, more: str = "", dev: str | None = None) -> Task:
    """A classification task on `train.tsv` with columns sentence and label."""
    files = {"train.tsv": train} | ({} if dev is None else {"dev.tsv": dev})
    validation = "" if dev is None else 'validation = "dev.tsv"\n'
    document = (
        'kind = "text-classification"\nmax_length = 16\n'
        f'[data]\ntrain = "train.tsv"\n{validation}{more}\n[columns]\ntext = "sentence"\n'
    )
    return small_task(folder, document, files)


def conll_task(folder: Path, content: str = CONLL, more: str = "") -> Task:
    """A tagging task on `words.conll`."""
    document = (
        'kind = "token-classification"\nmax_length = 16\n'
        f'[data]\ntrain = "words.conll"\nvalidation = "words.conll"\n{more}'
    )
    return small_task(folder, document, {"words.conll": content})


def squad_task(folder: Path, content: object = SQUAD, settings: str = "") -> Task:
    """A question task on `questions.json`; rows of 32 tokens, pieces share 4."""
    document = (
        f'kind = "question-answering"\nmax_length = 32\nstride = 4\n{settings}'
        '[data]\ntrain = "questions.json"\nvalidation = "questions.json"\n'
    )
    return small_task(folder, document, {"questions.json": json.dumps(content)})


def lines_task(folder: Path, content: str, settings: str = "max_length = 8\n") -> Task:
    """A masked-lm task on `pool.txt`."""
    document = f'kind = "masked-lm"\n{settings}[data]\ntrain = "pool.txt"\n'
    return small_task(folder, document, {"pool.txt": content})
