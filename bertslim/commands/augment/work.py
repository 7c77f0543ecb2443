"""What `augment` does: reads the rows, makes the rules, augments row by row, writes a table."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.augment.job import Job
from bertslim.commands.step import rank
from bertslim.commands.tables import TABLE
from bertslim.console import note, track
from bertslim.errors import BertslimError, DataError
from bertslim.store.growing import GrowingList

if TYPE_CHECKING:
    from datasets import Dataset

    from bertslim.methods.augment.augment import Rules
    from bertslim.methods.augment.rule import Source
    from bertslim.train.readers.vectors import Vectors
    from bertslim.train.tables import Row

MOST_VECTORS = 100_000
"""Words of a file of vectors that may be candidates: the most frequent come first."""


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Augment and write; return the step's report."""
    from bertslim.methods.augment.augment import make_rules
    from bertslim.train.tables import write_table

    if rank() > 0:
        return {}
    rows = _rows(job)
    # whatever is missing is missed here, where no row that is done can be lost
    rules = make_rules(job.augment, _source(job, rows))
    with _opened(resume) as done:
        if done:
            note(f"going on after {len(done)} of {len(rows)} rows")
        _augment_rest(job, rows, rules, done)
        types = _types(job, rows)
        table = directory / f"{TABLE}.{job.form}"
        write_table(table, _written(job, rows, done), types, job.task.layout.encoding)
        return _report(job, done)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[GrowingList]:
    """Keep what is done in a folder, for the next run; what failed for a reason fails again."""
    done = GrowingList(folder / "rows.jsonl")
    try:
        yield done
    except BertslimError:
        shutil.rmtree(folder)
        raise
    finally:
        done.close()


def _rows(job: Job) -> "Dataset":
    """Return the rows that training learns from: not those that it chooses the epoch by."""
    from datasets import concatenate_datasets

    from bertslim.train.readers import read_split
    from bertslim.train.splits import divide

    data = read_split(job.task, "train")
    if job.all_rows:
        return data
    division = divide(data, job.seed, job.labels_per_class)
    if division.unlabelled is None or job.keep_labels:
        return division.labelled
    return concatenate_datasets([division.labelled, division.unlabelled])


def _augment_rest(job: Job, rows: "Dataset", rules: "Rules", done: GrowingList) -> None:
    from bertslim.methods.augment.augment import augment

    rest = rows.select(range(len(done), len(rows)))
    for row in track(rest, f"augmenting {job.task.name}", len(rest)):
        texts = tuple(row[role] for role in _text_roles(rows))
        copies = augment(texts, row["id"], rules, job.augment, job.seed)
        done.append([copies.texts, copies.rows])


def _source(job: Job, rows: "Dataset") -> "Source":
    """Gather what rules are made of."""
    from bertslim.methods.augment.rule import Source
    from bertslim.train.readers.tags import read_tags

    given: dict[str, Any] = {
        "texts": lambda: [text for role in _text_roles(rows) for text in rows[role]],
        "seed": job.seed,
        "mask_token": job.augment.mask_token,
        "candidates": job.augment.candidates,
        "vectors": _vectors(job),
        "tags": None if job.lexicon is None else read_tags(job.lexicon),
    }
    return Source(**given, **_language_model(job))


def _language_model(job: Job) -> dict[str, Any]:
    """Open the model and its tokenizer.

    Raises:
        DataError: If it is no masked language model.
    """
    from bertslim.model.kinds import head_named
    from bertslim.model.loading import load_model, model_kind
    from bertslim.train.examples import check_vocabulary, load_tokenizer
    from bertslim.train.precision import choose_device, placed

    if job.model is None:
        return {"max_length": job.task.max_length}
    model = load_model(job.model)
    # A new head, as finetune would give it, knows no words.
    if (kind := model_kind(model)) != "masked-lm":
        raise DataError(
            f"--model {job.model.origin}: {head_named(kind)}, and masked words need their own",
            "bertslim finetune MODEL --task FILE of kind masked-lm makes one that is",
        )
    tokenizer = load_tokenizer(job.model.path)
    check_vocabulary(tokenizer, model.config.vocab_size)
    return {
        "model": placed(model, choose_device(job.device)),
        "tokenizer": tokenizer,
        "max_length": min(job.task.max_length, model.config.positions),
    }


def _vectors(job: Job) -> "Vectors | None":
    from bertslim.train.readers.vectors import first_vectors

    return None if job.vectors is None else first_vectors(job.vectors, MOST_VECTORS)


def _text_roles(rows: "Dataset") -> list[str]:
    return [role for role in ("text", "text_pair") if role in rows.column_names]


def _types(job: Job, rows: "Dataset") -> dict[str, type]:
    """Return the columns to write, under the names that the task has for them."""
    roles: dict[str, type] = dict.fromkeys(_text_roles(rows), str)
    if job.keep_labels:
        roles["label"] = float if job.task.kind == "text-regression" else str
    return {job.task.columns[role]: kind for role, kind in roles.items()}


def _written(job: Job, rows: "Dataset", done: GrowingList) -> "Iterator[Row]":
    """Yield the copies, with the labels of the rows that they were made of if these are kept."""
    names = [job.task.columns[role] for role in _text_roles(rows)]
    for row, (copies, _) in zip(rows, done, strict=True):
        label = {job.task.columns["label"]: row["label"]} if job.keep_labels else {}
        for texts in copies:
            yield dict(zip(names, texts, strict=True)) | label


def _report(job: Job, done: GrowingList) -> dict[str, Any]:
    """Return what became of the rows.

    Raises:
        DataError: If nothing did.
    """
    made, by_rule = 0, Counter(dict.fromkeys(job.augment.rates, 0))
    for copies, rules in done:
        made += len(copies)
        by_rule.update(rules)
    if not made:
        raise DataError(
            f"no row of task {job.task.name} became another one",
            "the texts may have no words, or words that no rule has others for",
        )
    tried = len(done) * job.augment.copies
    return {"rows": len(done), "copies": made, "repeated": tried - made, "by_rule": dict(by_rule)}
