"""Task files: what they mean, and what is said about wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from bertslim.errors import DataError
from bertslim.model import loading
from bertslim.train import task_schema
from bertslim.train.task import HubData, load_task, task_digest
from tests.train.tasks import tsv_task, write_task

ROWS = "sentence\tlabel\ngood film\t1\nbad film\t0\n"


def faults_of(folder: Path, document: str, *files: str) -> list[str]:
    """The faults that loading finds, without the title."""
    path = write_task(folder, document, dict.fromkeys(files, ROWS))
    with pytest.raises(DataError) as caught:
        load_task(path)
    message = str(caught.value)
    title = f"{path} is not a valid task file:"
    assert message.startswith(title)
    return [
        line.strip().removeprefix("- ") for line in message.removeprefix(title).split("\n") if line
    ]


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    files = {"train.tsv": ROWS}
    document = 'kind = "text-classification"\n[data]\ntrain = "train.tsv"\n'
    task = load_task(write_task(tmp_path, document, files))
    assert task.name == "small"
    assert (task.metric, task.max_length, task.labels) == ("accuracy", 128, ())
    assert (task.train, task.validation) == ((tmp_path / "train.tsv",), ())
    assert task.columns == {"text": "text", "label": "label"}
    assert (task.layout.encoding, task.layout.format, task.layout.header) == ("utf-8", "", ())


def test_everything_that_is_said_is_kept(tmp_path: Path) -> None:
    document = (
        'kind = "text-regression"\nmetric = "spearman"\nmax_length = 64\n'
        '[data]\ntrain = ["a.txt", "b.txt"]\nvalidation = "c.txt"\nformat = "csv"\n'
        'encoding = "latin-1"\nheader = ["x", "y", "z"]\nquoting = false\n'
        '[columns]\ntext = ["x", "y"]\nlabel = "z"\n'
    )
    task = load_task(write_task(tmp_path, document, dict.fromkeys(("a.txt", "b.txt", "c.txt"), "")))
    assert (task.metric, task.max_length) == ("spearman", 64)
    assert task.paths("train") == (tmp_path / "a.txt", tmp_path / "b.txt")
    assert task.paths("validation") == (tmp_path / "c.txt",)
    assert task.columns == {"text": "x", "text_pair": "y", "label": "z"}
    assert (task.layout.format, task.layout.encoding) == ("csv", "latin-1")
    assert (task.layout.header, task.layout.quoting) == (("x", "y", "z"), False)


def test_questions_are_longer_and_strided(tmp_path: Path) -> None:
    document = 'kind = "question-answering"\nnull_threshold = -1\n[data]\ntrain = "q.json"\n'
    task = load_task(write_task(tmp_path, document, {"q.json": "{}"}))
    assert (task.max_length, task.stride, task.max_answer_length) == (384, 128, 30)
    assert (task.null_threshold, task.metric) == (-1, "f1")


def test_a_hub_data_set_is_named_with_its_splits(tmp_path: Path) -> None:
    document = (
        'kind = "text-classification"\n'
        '[data]\nhub = "glue"\nconfig = "sst2"\ntrain = "train"\nvalidation = "validation"\n'
    )
    task = load_task(write_task(tmp_path, document, {}))
    assert task.hub == HubData("glue", "sst2", "train", "validation")
    assert task.paths("train") == task.paths("validation") == ()


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    document = (
        'kind = "text-classification"\nmetrik = "accuracy"\nmax_length = 4\nstride = 8\n'
        'labels = ["a", "a"]\n'
        '[data]\ntrain = "absent.tsv"\nvalidation = "dev.weird"\nquoting = "no"\n'
        'encoding = "utf-16"\npattern = "x"\n'
        '[columns]\nlable = "y"\ntext = ["a", "b", "c"]\n'
    )
    assert faults_of(tmp_path, document, "dev.weird") == [
        "metrik: no such key; did you mean metric?",
        "max_length = 4: must be a whole number, 8 or more",
        "labels = ['a', 'a']: must be a list of different names",
        "[data] quoting = 'no': must be true or false",
        "[data] encoding = 'utf-16': must be a text encoding such as utf-8 or latin-1",
        "[data] pattern = 'x': must be a regular expression with named groups, "
        "as in (?P<label>\\w+)",
        f"[data] train = 'absent.tsv': no such file in {tmp_path}",
        "stride: has a meaning for question-answering only",
        "[data] 'dev.weird': the extension tells no format; set format",
        "[data] pattern: has a meaning for lines files only",
        "[columns] lable: no such key; did you mean label?",
        "[columns] text = ['a', 'b', 'c']: must be the name of a column, or a list of two",
    ]


CLASSIFY = 'kind = "text-classification"\n'
DATA = '[data]\ntrain = "a.tsv"\n'


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (DATA, "kind: missing; one of text-classification, text-regression, "
               "token-classification, question-answering, masked-lm"),
        ('kind = "ner"\n' + DATA, "kind = 'ner': must be one of text-classification, "
         "text-regression, token-classification, question-answering, masked-lm"),
        (CLASSIFY, "[data] names neither train nor validation"),
        (CLASSIFY + "data = 3\n", "data = 3: must be a table: [data]"),
        (CLASSIFY + 'metric = "pearson"\n' + DATA,
         "metric = 'pearson': text-classification is judged by one of accuracy, macro_f1, f1, mcc"),
        ('kind = "masked-lm"\nmask_probability = 1.0\n' + DATA,
         "mask_probability = 1.0: must be between 0 and 1"),
        (CLASSIFY + '[data]\ntrain = "a.tsv"\nformat = "conll"\n',
         "[data] format conll: text-classification reads csv, tsv, jsonl, parquet, lines"),
        (CLASSIFY + '[data]\ntrain = "a.tsv"\nformat = "lines"\n',
         "[data] pattern: missing; it divides a line into named columns"),
        (CLASSIFY + '[data]\ntrain = "a.tsv"\ntoken_prefix = "en:"\nformat = "tsv"\n',
         "[data] token_prefix: has a meaning for conll files only"),
        ('kind = "token-classification"\n' + DATA,
         "[data] format tsv: token-classification reads conll, jsonl, parquet"),
        (CLASSIFY + '[data]\ntrain = "a.tsv"\nformat = ["tsv"]\nquoting = true\n'
         'encoding = "undefined"\n',
         "[data] format = ['tsv']: must be one of csv, tsv, jsonl, parquet, lines, conll, squad\n"
         "[data] encoding = 'undefined': must be a text encoding such as utf-8 or latin-1"),
        ('kind = "token-classification"\nlabels = ["O", "PER", "B-LOC", "E-LOC"]\n'
         '[data]\ntrain = "a.tsv"\nformat = "conll"\n[columns]\ntags = "ner"\n',
         "labels: 'PER' and 'E-LOC': must be O, B-TYPE or I-TYPE\n"
         "[columns]: conll files have names of columns only by header in [data]"),
        (CLASSIFY + '[data]\nhub = "glue"\nquoting = true\ntrain = "train"\n',
         "[data] quoting: no such key; there are hub, config, train, validation"),
        ('kind = "question-answering"\nmax_length = 64\n[data]\ntrain = "a.tsv"\n'
         'format = "squad"\n', "stride = 128: must be at most max_length / 2 - 8 = 24"),
    ],
)  # fmt: skip
def test_each_fault_names_the_key_and_the_cure(tmp_path: Path, document: str, fault: str) -> None:
    assert faults_of(tmp_path, document, "a.tsv") == fault.split("\n")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = write_task(tmp_path, CLASSIFY + DATA, {"a.tsv": ""})
    file.write_text(f"\ufeff{file.read_text()}", encoding="utf-8")
    assert load_task(file).kind == "text-classification"


def test_files_that_are_not_toml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read \\(No such file or directory\\)"):
        load_task(tmp_path / "absent.toml")
    with pytest.raises(DataError, match="is not TOML: Invalid value \\(at line 1, column 8\\)"):
        load_task(write_task(tmp_path, "kind = text", {}))


def test_the_digest_covers_settings_and_contents_but_no_paths(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    digest = task_digest(tsv_task(here, ROWS, dev=ROWS), ["train"])
    moved = write_task(
        there,
        'kind = "text-classification"\nmax_length = 16\n'
        '[data]\ntrain = "x/y.txt"\nvalidation = "x/y.txt"\nformat = "tsv"\n'
        '[columns]\ntext = "sentence"\n',
        {"x/y.txt": ROWS},
    ).rename(there / "renamed.toml")
    assert task_digest(load_task(moved), ["train"]) == digest
    assert task_digest(load_task(moved), ["train", "validation"]) != digest
    assert task_digest(tsv_task(here, ROWS, dev="other"), ["train"]) == digest
    assert task_digest(tsv_task(here, ROWS + "x\t1\n", dev=ROWS), ["train"]) != digest
    assert task_digest(tsv_task(here, ROWS, more='encoding = "latin-1"', dev=ROWS), ["train"]) != (
        digest
    )


def test_kinds_are_those_that_models_have_heads_for() -> None:
    assert task_schema.KINDS == loading.KINDS


def test_loading_a_task_imports_no_heavy_library() -> None:
    heavy = ["torch", "datasets", "transformers", "numpy"]
    code = f"import sys, bertslim.train.task; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
