"""SQuAD JSON, 1.1 and 2.0: articles, their paragraphs, the questions about each."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import Place, Record, Rows
from bertslim.train.task import Layout


def read_squad(path: Path, layout: Layout, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield question, context and answers as the wanted columns, placed by the question's id.

    Questions without answers (SQuAD 2.0's `is_impossible`) keep an empty list.
    """
    try:
        document = json.loads(path.read_text(encoding=layout.encoding).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        faults.add(path, error.lineno, f"not JSON: {error.msg}")
        return
    except UnicodeDecodeError as error:
        faults.add(path, None, f"byte {error.object[error.start]:#04x} is not {layout.encoding}")
        return
    try:
        for place, context, question in _questions(document):
            values = (question["question"], context, _answers(question))
            yield place, dict(zip(wanted, values, strict=True))
    except (KeyError, TypeError) as error:
        faults.add(path, None, f"not SQuAD's structure, data/paragraphs/qas ({error!r})")


def _questions(document: Any) -> Iterator[tuple[Place, str, Record]]:
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield f"question {question['id']}", paragraph["context"], question


def _answers(question: Record) -> dict[str, list[Any]]:
    answers = [] if question.get("is_impossible") else question["answers"]
    return {
        "text": [answer["text"] for answer in answers],
        "answer_start": [answer["answer_start"] for answer in answers],
    }
