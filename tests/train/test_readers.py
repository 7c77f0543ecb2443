"""Readers: every format to the same columns, and every fault with its file and line."""

import errno
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest

from bertslim.errors import DataError
from bertslim.train.readers import label_names, read_split, read_unlabelled
from bertslim.train.task import Task
from tests.train.tasks import (
    CONTEXT,
    SQUAD,
    conll_task,
    lines_task,
    small_task,
    squad_task,
    tsv_task,
)


def rows(task: Task) -> list[dict[str, object]]:
    return read_split(task, "train").to_list()


def faults(task: Task) -> list[str]:
    """What is said about the training data, without title and folder."""
    with pytest.raises(DataError) as caught:
        read_split(task, "train")
    title = "train data of task small:"
    message = str(caught.value).replace(f"{task.train[0].parent}/", "")
    assert message.startswith(title)
    return [
        line.strip().removeprefix("- ") for line in message.removeprefix(title).split("\n") if line
    ]


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    content = '\ufeffsentence\tlabel\r\n"good" film \t1\r\n\r\n"bad\t0'
    assert rows(tsv_task(tmp_path, content)) == [
        {"id": 0, "text": '"good" film ', "label": "1"},
        {"id": 1, "text": '"bad', "label": "0"},
    ]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    content = "sentence\tlabel\na\x85b\u2028c\x0cd\t1\n"
    assert rows(tsv_task(tmp_path, content))[0]["text"] == "a\x85b\u2028c\x0cd"


def test_csv_cells_may_hold_commas_newlines_and_long_texts(tmp_path: Path) -> None:
    long = "word " * 40_000
    document = 'kind = "text-classification"\n[data]\ntrain = "a.csv"\n'
    files = {"a.csv": f'label,text\n1,"a ""b"", c\nd"\n\n0,"{long}"\n'}
    assert rows(small_task(tmp_path, document, files)) == [
        {"id": 0, "text": 'a "b", c\nd', "label": "1"},
        {"id": 1, "text": long, "label": "0"},
    ]


def test_a_header_in_the_task_file_names_the_columns(tmp_path: Path) -> None:
    more = 'header = ["source", "label", "mark", "sentence"]'
    assert rows(tsv_task(tmp_path, "gj04\t1\t\tFine .\ncj99\t0\t*\tNot fine .", more=more)) == [
        {"id": 0, "text": "Fine .", "label": "1"},
        {"id": 1, "text": "Not fine .", "label": "0"},
    ]


def test_pairs_and_scores(tmp_path: Path) -> None:
    document = (
        'kind = "text-regression"\n[data]\ntrain = ["a.jsonl", "b.jsonl"]\n'
        '[columns]\ntext = ["x", "y"]\nlabel = "score"\n'
    )
    files = {
        "a.jsonl": '{"x": "a", "y": "b", "score": 2}\n\n',
        "b.jsonl": '{"score": "4.5", "y": "d", "x": "c", "z": null}',
    }
    assert rows(small_task(tmp_path, document, files)) == [
        {"id": 0, "text": "a", "text_pair": "b", "label": 2.0},
        {"id": 1, "text": "c", "text_pair": "d", "label": 4.5},
    ]


def test_parquet(tmp_path: Path) -> None:
    document = 'kind = "token-classification"\n[data]\ntrain = "a.parquet"\n'
    table = pa.table({"tokens": [["anna", "is"]], "tags": [["B-PER", "O"]], "more": [1]})
    task = small_task(tmp_path, document, {"a.parquet": ""})
    assert faults(task)[0].startswith("a.parquet: not a Parquet file")
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert rows(task) == [{"id": 0, "tokens": ["anna", "is"], "tags": ["B-PER", "O"]}]


def test_lines_are_divided_by_a_pattern(tmp_path: Path) -> None:
    document = (
        'kind = "text-classification"\n[data]\ntrain = "a.label"\nformat = "lines"\n'
        "encoding = \"latin-1\"\npattern = '(?P<label>[A-Z]+):\\w+ (?P<text>.+)'\n"
    )
    task = small_task(tmp_path, document, {"a.label": ""})
    (tmp_path / "a.label").write_bytes(b"HUM:ind Who is Andr\xe9 ?\n\nLOC:city Where ?\n")
    assert rows(task) == [
        {"id": 0, "text": "Who is André ?", "label": "HUM"},
        {"id": 1, "text": "Where ?", "label": "LOC"},
    ]
    (tmp_path / "a.label").write_bytes(b"HUM:ind Who ?\nLOC Where ?\n")
    assert faults(task) == [
        r"a.label:2: does not fit the pattern (?P<label>[A-Z]+):\w+ (?P<text>.+)"
    ]


def test_lines_of_a_plain_text(tmp_path: Path) -> None:
    assert rows(lines_task(tmp_path, " = Title = \n \nIt was . \n")) == [
        {"id": 0, "text": " = Title = "},
        {"id": 1, "text": "It was . "},
    ]


def test_conll_takes_first_and_last_column(tmp_path: Path) -> None:
    content = "-DOCSTART- O\n\nen:anna NN B-PER\nen:is VB O\n\t\n\nen:the\xa0end NN I-LOC\n"
    assert rows(conll_task(tmp_path, content, 'token_prefix = "en:"\n')) == [
        {"id": 0, "tokens": ["anna", "is"], "tags": ["B-PER", "O"]},
        {"id": 1, "tokens": ["the\xa0end"], "tags": ["I-LOC"]},
    ]


def test_conll_columns_may_be_named(tmp_path: Path) -> None:
    more = 'header = ["tag", "word"]\n[columns]\ntokens = "word"\ntags = "tag"\n'
    assert rows(conll_task(tmp_path, "B-PER anna\n", more)) == [
        {"id": 0, "tokens": ["anna"], "tags": ["B-PER"]}
    ]


def test_squad_keeps_all_answers_and_unanswerable_questions(tmp_path: Path) -> None:
    found = rows(squad_task(tmp_path))
    assert found[0] == {
        "id": 0,
        "question": " who is in paris",
        "context": CONTEXT,
        "answers": {"text": ["bob", "bob is"], "answer_start": [19, 19]},
    }
    assert found[1]["answers"] == {"text": [], "answer_start": []}
    assert [row["id"] for row in found] == [0, 1, 2]


def hub_task(folder: Path, kind: str, columns: str) -> Task:
    """A task on the hub data set x/y."""
    hub = '[data]\nhub = "x/y"\ntrain = "train[:1]"\n'
    return small_task(folder, f'kind = "{kind}"\n{hub}[columns]\n{columns}\n', {})


def put_on_hub(
    monkeypatch: pytest.MonkeyPatch, columns: dict[str, list[object]], **types: object
) -> list[object]:
    """Let the hub hold one data set, whatever is asked for; return what will be asked for."""
    data = datasets.Dataset.from_dict(columns, datasets.Features(types))
    asked: list[object] = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *names, split: asked.append((*names, split)) or data
    )
    return asked


WORDS = datasets.List(datasets.Value("string"))
TAGS = datasets.List(datasets.ClassLabel(names=["O", "B-PER", "B-LOC"]))
PARAPHRASE = datasets.ClassLabel(names=["not_equivalent", "equivalent"])
TEXT = datasets.Value("string")


def test_hub_data_sets_spell_out_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"tokens": [["anna", "is"]], "ner": [[1, 0]]}
    asked = put_on_hub(monkeypatch, columns, tokens=WORDS, ner=TAGS)
    task = hub_task(tmp_path, "token-classification", 'tags = "ner"')
    assert rows(task) == [{"id": 0, "tokens": ["anna", "is"], "tags": ["B-PER", "O"]}]
    assert asked == [("x/y", None, "train[:1]")]
    absent = replace(task, columns={"tokens": "tokens", "tags": "tags"})
    with pytest.raises(DataError, match="x/y: no column 'tags'; there are 'tokens', 'ner'"):
        read_split(absent, "train")
    with pytest.raises(DataError, match="task small names no validation data"):
        read_split(task, "validation")


def test_hub_classes_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"text": ["a", "b"], "label": [1, 0]}
    task = hub_task(tmp_path, "text-classification", 'text = "text"')
    put_on_hub(monkeypatch, columns, text=TEXT, label=PARAPHRASE)
    assert label_names(task, read_split(task, "train")) == ("not_equivalent", "equivalent")
    given = replace(task, labels=("equivalent", "not_equivalent"))
    assert label_names(given, read_split(given, "train")) == ("equivalent", "not_equivalent")
    put_on_hub(monkeypatch, {"text": ["a", "b"], "label": ["no", "YES"]}, text=TEXT, label=TEXT)
    assert label_names(task, read_split(task, "train")) == ("YES", "no")
    tags = hub_task(tmp_path, "token-classification", 'tags = "ner"')
    put_on_hub(monkeypatch, {"tokens": [["a"]], "ner": [[1]]}, tokens=WORDS, ner=TAGS)
    assert label_names(tags, read_split(tags, "train")) == ("O", "B-PER", "B-LOC")


def test_hub_rows_without_a_class_are_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"text": ["a", "b", "c"], "label": [-1, 1, None]}
    put_on_hub(monkeypatch, columns, text=TEXT, label=PARAPHRASE)
    with pytest.raises(DataError) as caught:
        read_split(hub_task(tmp_path, "text-classification", 'text = "text"'), "train")
    assert str(caught.value) == "train data of task small: x/y, row 1, row 3: label is empty"
    columns = {"tokens": [["anna"], ["is"], ["paris"]], "tags": [[-1], None, [2]]}
    put_on_hub(monkeypatch, columns, tokens=WORDS, tags=TAGS)
    with pytest.raises(DataError) as caught:
        read_split(hub_task(tmp_path, "token-classification", ""), "train")
    fault = "tokens and tags must be equally long lists of words"
    assert str(caught.value) == f"train data of task small: x/y, row 1, row 2: {fault}"


@pytest.mark.parametrize(
    "error",
    [
        datasets.exceptions.DatasetNotFoundError("not there"),
        RuntimeError("Dataset scripts are no longer supported, but found y.py"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_hub_data_set_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def absent(*_names: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", absent)
    with pytest.raises(DataError) as caught:
        read_split(hub_task(tmp_path, "masked-lm", ""), "train")
    assert str(caught.value) == f"hub data set x/y, split 'train[:1]': {error}"
    assert "a script, name local files" in caught.value.hint


def test_absent_columns_name_those_that_exist(tmp_path: Path) -> None:
    assert faults(tsv_task(tmp_path, "text\tclass\na\t1\n")) == [
        "train.tsv:1: no columns 'sentence' and 'label'; there are 'text', 'class'"
    ]
    document = 'kind = "text-classification"\n[data]\ntrain = "a.jsonl"\n'
    task = small_task(tmp_path, document, {"a.jsonl": '{"text": "a"}\nnot json\n[]\n'})
    assert faults(task) == [
        "a.jsonl:1: no column 'label'; there are 'text'",
        "a.jsonl:2: not JSON: Expecting value at column 1",
        "a.jsonl:3: not a JSON object",
    ]


def test_what_is_wrong_in_many_rows_is_told_once(tmp_path: Path) -> None:
    content = "sentence\tlabel\n" + "one cell\n" * 14 + "good\t\nfine\t1\tx\n"
    assert faults(tsv_task(tmp_path, content)) == [
        "train.tsv:2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 4 more: 1 columns where 2 are named",
        "train.tsv:16: label is empty",
        "train.tsv:17: 3 columns where 2 are named",
    ]


def test_labels_of_another_task_are_each_named_once(tmp_path: Path) -> None:
    content = "sentence\tlabel\n" + "a\tgood\nb\tbad\n" * 2
    assert faults(replace(tsv_task(tmp_path, content), labels=("0", "1"))) == [
        "train.tsv:2, 4: label 'good' is not among the labels 0, 1",
        "train.tsv:3, 5: label 'bad' is not among the labels 0, 1",
    ]


def test_ten_faults_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    lines = ["a\tb\tc" + "\tx" * n for n in range(12)]
    content = "\n".join(["sentence\tlabel", *lines, *lines])
    found = faults(tsv_task(tmp_path, content))
    assert found == [
        *(f"train.tsv:{n + 2}, {n + 14}: {n + 3} columns where 2 are named" for n in range(10)),
        "and 4 more",
    ]


def test_empty_labels_unknown_labels_and_long_rows(tmp_path: Path) -> None:
    content = "sentence\tlabel\na\t \nb\t2\nc\t1\tx\nd\t1\n"
    task = replace(tsv_task(tmp_path, content), labels=("0", "1"))
    assert faults(task) == [
        "train.tsv:2: label is empty",
        "train.tsv:3: label '2' is not among the labels 0, 1",
        "train.tsv:4: 3 columns where 2 are named",
    ]


def test_scores_must_be_finite_numbers_and_texts_texts(tmp_path: Path) -> None:
    document = 'kind = "text-regression"\n[data]\ntrain = "a.jsonl"\n'
    lines = [
        '{"text": "a", "label": "x"}',
        '{"text": "a", "label": NaN}',
        '{"text": 3, "label": 1}',
        '{"text": "a", "label": true}',
        '{"text": "a", "label": 1' + "0" * 400 + "}",
    ]
    assert faults(small_task(tmp_path, document, {"a.jsonl": "\n".join(lines)})) == [
        "a.jsonl:1: label 'x' is not a number",
        "a.jsonl:2: label nan is not a number",
        "a.jsonl:3: text is 3, which is not a text",
        "a.jsonl:4: label True is not a number",
        f"a.jsonl:5: label 1{'0' * 400} is not a number",
    ]


def test_labels_that_are_no_numbers_are_empty(tmp_path: Path) -> None:
    document = 'kind = "text-classification"\n[data]\ntrain = "a.jsonl"\n'
    lines = '{"text": "a", "label": NaN}\n{"text": "a", "label": "nan"}'
    task = small_task(tmp_path, document, {"a.jsonl": lines})
    assert faults(task) == ["a.jsonl:1: label is empty"]
    table = pa.table({"text": ["a", "b", "c"], "label": [1.0, float("nan"), None]})
    parquet = small_task(tmp_path, document.replace("jsonl", "parquet"), {"a.parquet": ""})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert faults(parquet) == ["a.parquet, row 2, row 3: label is empty"]


def test_columns_that_stand_there_twice_are_refused(tmp_path: Path) -> None:
    task = tsv_task(tmp_path, "sentence\tlabel\tid\tid\tsentence\na\t1\t2\t3\tb\n")
    assert faults(task) == ["train.tsv:1: two columns 'sentence'"]


def test_json_that_no_text_can_hold(tmp_path: Path) -> None:
    document = 'kind = "text-classification"\n[data]\ntrain = "a.jsonl"\n'
    lines = [
        '{"text": "cut \\ud83d", "label": "x"}',
        '{"text": "a", "label": ["x", "y"]}',
        '{"text": "a", "label": "\\ud83d"}',
        '{"text": "whole \\ud83d\\ude00", "label": "x"}',
        '{"text": "a", "label": ' + "1" * 5000 + "}",
        "[" * 100_000,
    ]
    found = faults(small_task(tmp_path, document, {"a.jsonl": "\n".join(lines)}))
    assert found[:3] == [
        r"a.jsonl:1: text is 'cut \ud83d', which holds half a character",
        "a.jsonl:2: label is ['x', 'y'], which is not one class",
        r"a.jsonl:3: label is '\ud83d', which holds half a character",
    ]
    assert [fault.partition(" (")[0][:35] for fault in found[3:]] == [
        "a.jsonl:5: JSON that cannot be read",
        "a.jsonl:6: JSON that cannot be read",
    ]


def test_wrong_encodings_name_the_line_and_the_cure(tmp_path: Path) -> None:
    task = tsv_task(tmp_path, "")
    (tmp_path / "train.tsv").write_bytes(b"sentence\tlabel\nfine\t1\nAndr\xe9\t1\n")
    assert faults(task) == ["train.tsv:3: byte 0xe9 is not utf-8"]
    with pytest.raises(DataError) as caught:
        read_split(task, "train")
    assert caught.value.hint == (
        'a file that is not UTF-8 needs encoding = "latin-1", say, in [data], '
        "or a copy made by iconv"
    )
    latin = replace(task, layout=replace(task.layout, encoding="latin-1"))
    assert rows(latin)[1]["text"] == "André"


@pytest.mark.parametrize("content", ["", "sentence\tlabel\n", "\n\n"])
def test_empty_files_are_faults(tmp_path: Path, content: str) -> None:
    assert faults(tsv_task(tmp_path, content)) == ["train.tsv: holds no rows"]


def test_unclosed_quotes_do_not_swallow_the_file(tmp_path: Path) -> None:
    document = 'kind = "text-classification"\n[data]\ntrain = "a.csv"\n'
    task = small_task(tmp_path, document, {"a.csv": 'text,label\na,1\n"b,0\nc,1\n'})
    assert faults(task) == [
        "a.csv:3: a quote is not closed or not doubled (unexpected end of data)"
    ]


def test_a_carriage_return_alone_ends_no_line(tmp_path: Path) -> None:
    document = 'kind = "text-classification"\n[data]\ntrain = "a.csv"\n'
    task = small_task(tmp_path, document, {"a.csv": ""})
    (tmp_path / "a.csv").write_bytes(b"text,label\ra,1\r")
    assert faults(task) == ["a.csv:1: a carriage return stands within a line"]


def test_a_byte_order_mark_before_json_is_skipped(tmp_path: Path) -> None:
    task = squad_task(tmp_path, SQUAD)
    file = task.train[0]
    content = file.read_text()
    as_it_was = rows(task)
    file.write_text(f"\ufeff{content}", encoding="utf-8")
    assert rows(task) == as_it_was


def test_a_full_folder_of_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("datasets.arrow_writer.ArrowWriter.write_batch", full)
    with pytest.raises(DataError, match=f"{tempfile.gettempdir()} is full") as caught:
        read_split(tsv_task(tmp_path, "sentence\tlabel\na\t1\n"), "train")
    assert "TMPDIR" in caught.value.hint


def test_malformed_conll(tmp_path: Path) -> None:
    content = "anna B-PER\nis\n\nparis E-LOC\nend X\n\nthe NN O\nbob B-\n"
    assert faults(conll_task(tmp_path, content)) == [
        "words.conll:2: 1 columns where 2 are usual",
        "words.conll:4: tag 'E-LOC' and 'X': must be O, B-TYPE or I-TYPE",
        "words.conll:7: 3 columns where 2 are usual",
        "words.conll:8: tag 'B-': must be O, B-TYPE or I-TYPE",
    ]
    task = replace(conll_task(tmp_path, "anna B-PER\n"), labels=("O", "B-LOC"))
    assert faults(task) == ["words.conll:1: tag 'B-PER': must be O, B-LOC"]


def test_answers_must_stand_where_they_claim_to(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(SQUAD).replace('"answer_start": 19', '"answer_start": 20'))
    assert faults(squad_task(tmp_path, wrong)) == [
        "questions.json, question q1: answer 'bob' is not at 20, where 'ob ' stands"
    ]
    assert faults(squad_task(tmp_path, {"data": [{"title": "x"}]})) == [
        "questions.json: not SQuAD's structure, data/paragraphs/qas (KeyError('paragraphs'))"
    ]


def test_labels_are_sorted_numbers_as_numbers(tmp_path: Path) -> None:
    numbers = tsv_task(tmp_path, "sentence\tlabel\n" + "".join(f"x\t{n}\n" for n in (10, 9, -1, 9)))
    assert label_names(numbers, read_split(numbers, "train")) == ("-1", "9", "10")
    given = replace(numbers, labels=("9", "10", "-1"))
    assert label_names(given, read_split(given, "train")) == ("9", "10", "-1")
    words = tsv_task(tmp_path, "sentence\tlabel\nx\tno\nx\tmaybe\nx\t10\n")
    assert label_names(words, read_split(words, "train")) == ("10", "maybe", "no")
    languages = tsv_task(tmp_path, "sentence\tlabel\nx\tnan\nx\t2\nx\t10\nx\tinf\n")
    assert label_names(languages, read_split(languages, "train")) == ("10", "2", "inf", "nan")
    tags = conll_task(tmp_path)
    assert label_names(tags, read_split(tags, "train")) == ("B-LOC", "B-PER", "I-PER", "O")
    questions = squad_task(tmp_path)
    assert label_names(questions, read_split(questions, "train")) == ()


def test_labels_that_cannot_be_learnt_or_judged(tmp_path: Path) -> None:
    one = tsv_task(tmp_path, "sentence\tlabel\nx\t1\ny\t1\n")
    with pytest.raises(DataError, match="holds one label only: 1"):
        label_names(one, read_split(one, "train"))
    three = replace(tsv_task(tmp_path, "sentence\tlabel\nx\t1\ny\t2\nz\t3\n"), metric="f1")
    with pytest.raises(DataError, match="metric f1 is about two labels, and there are 3"):
        label_names(three, read_split(three, "train"))


def test_validation_may_hold_no_label_that_training_lacks(tmp_path: Path) -> None:
    train = "sentence\tlabel\nx\tno\ny\tyes\n"
    task = tsv_task(tmp_path, train, dev=train + "z\tperhaps\n")
    known = replace(task, labels=label_names(task, read_split(task, "train")))
    with pytest.raises(DataError) as caught:
        read_split(known, "validation")
    place = tmp_path / "dev.tsv"
    assert str(caught.value) == (
        f"validation data of task small: {place}:4: label 'perhaps' is not among the labels no, yes"
    )


def test_unlabelled_pools(tmp_path: Path) -> None:
    task = tsv_task(tmp_path, "sentence\tlabel\nx\tno\n")
    (tmp_path / "pool.tsv").write_text("more\tsentence\n1\tgood film\n")
    (tmp_path / "pool.jsonl").write_text('{"sentence": "bad film"}\n')
    (tmp_path / "other.jsonl").write_text('{"text": "<br />", "file": "x"}\n')
    (tmp_path / "pool.txt").write_text("anna is\n")
    pyarrow.parquet.write_table(pa.table({"text": ["end"], "z": [1]}), tmp_path / "p.parquet")
    names = ("pool.tsv", "pool.jsonl", "other.jsonl", "pool.txt", "p.parquet")
    pool = read_unlabelled(task, [tmp_path / name for name in names])
    assert pool["text"][:] == ["good film", "bad film", "<br />", "anna is", "end"]
    assert pool["id"][:] == [0, 1, 2, 3, 4]
    words = read_unlabelled(conll_task(tmp_path), [tmp_path / "pool.txt"])
    assert words.to_list() == [{"id": 0, "tokens": ["anna", "is"]}]


def test_faults_of_unlabelled_pools(tmp_path: Path) -> None:
    task = conll_task(tmp_path)
    (tmp_path / "pool.tsv").write_text("more\tsentence\n1\tgood film\n")
    with pytest.raises(DataError) as caught:
        read_unlabelled(
            task, [tmp_path / name for name in ("absent.txt", "words.conll", "pool.tsv")]
        )
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "unlabelled data:\n  - absent.txt: no such file\n"
        "  - words.conll: the extension is none of csv, tsv, jsonl, parquet, lines or txt\n"
        "  - pool.tsv:1: no column 'text'; there are 'more', 'sentence'"
    )
    blank = tmp_path / "blank.jsonl"
    blank.write_text('{"tokens": [" "]}\n{"tokens": [" ", "\\t"]}\n')
    with pytest.raises(DataError, match="is blank"):
        read_unlabelled(task, [blank])


def test_data_is_mapped_and_its_fingerprint_is_its_content(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = tsv_task(tmp_path, "sentence\tlabel\nx\tno\n")
    before = {path.name for path in tmp_path.iterdir()}
    first, second = read_split(task, "train"), read_split(task, "train")
    other = read_split(tsv_task(tmp_path, "sentence\tlabel\ny\tno\n"), "train")
    assert first._fingerprint == second._fingerprint != other._fingerprint
    assert len(first.cache_files) == 1
    assert {path.name for path in tmp_path.iterdir()} == before
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("datasets").level >= logging.WARNING
