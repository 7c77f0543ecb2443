"""`bertslim augment` from the command line: what it writes, records, refuses and resumes."""

import json
import shutil
from pathlib import Path

import pytest
from datasets import Dataset

from bertslim.cli import main
from bertslim.methods.augment import augment as method
from bertslim.train.readers import read_split
from bertslim.train.splits import Division, divide
from bertslim.train.task import load_task
from tests.tiny import record_of, save_tiny_bert
from tests.train.tasks import conll_task, lines_task, write_task

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "augment").glob("*.toml"))
Printed = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def place(tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: Patch) -> Path:
    """A working directory with a task, a teacher and a masked language model."""
    shutil.copytree(tiny, tmp_path / "tiny")
    shutil.copytree(sentence_task.parent, tmp_path / "data")
    save_tiny_bert(tmp_path / "mlm", "masked-lm")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def augment(*more: str, method: str = "tang", task: str = "data/task.toml") -> int:
    return main(["augment", "--task", task, "--method", method, *more])


def table(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "rows.jsonl").read_text().splitlines()]


def originals(place: Path) -> list[str]:
    rows = (place / "data" / "train.tsv").read_text().splitlines()[1:]
    return [row.partition("\t")[0] for row in rows]


def sentences(directory: Path) -> list[object]:
    return [row["sentence"] for row in table(directory)]


MASK_ALL = ("--rate", "mask=1", "--rate", "pos=0", "--rate", "ngram=0", "--copies", "1")


def masked(rows: Dataset) -> list[str]:
    """Return what MASK_ALL makes of texts."""
    return [" ".join("." if w == "." else "[MASK]" for w in t.split()) for t in rows["text"]]


def division(seed: int, few: int | None = None) -> Division:
    return divide(read_split(load_task(Path("data/task.toml")), "train"), seed, few)


def test_it_writes_a_table_and_a_record(place: Path, capfd: Printed) -> None:
    assert augment("--copies", "3") == 0
    out = place / "data" / "task-augmented"
    assert capfd.readouterr().out == "data/task-augmented\n"
    assert {path.name for path in out.iterdir()} == {"rows.jsonl", "provenance.json"}
    rows = table(out)
    assert {tuple(row) for row in rows} == {("sentence",)}
    assert not {row["sentence"] for row in rows} & set(originals(place))
    record = record_of(out)
    report = record["report"]
    assert report["rows"] == 96 - 24  # those that are held out are not augmented
    assert report["copies"] == len(rows)
    assert report["copies"] + report["repeated"] == 3 * report["rows"]
    assert report["by_rule"].keys() == {"mask", "pos", "ngram"}
    assert all(report["by_rule"].values())
    assert (record["request"]["inputs"], record["lineage"]) == ({}, [])
    assert record["sources"] == {"task": "data/task.toml"}
    # what was recorded can be asked for again
    shutil.copy(out / "provenance.json", "was.json")
    assert main(["augment", "--config", "was.json"]) == 0
    assert "up to date" in capfd.readouterr().err


def test_a_masked_language_model_writes_other_words(place: Path) -> None:
    more = ("--model", "mlm", "--copies", "2", "--candidates", "3", "--all-rows")
    assert augment(*more, "-o", "out", method="tinybert") == 0
    record = record_of(place / "out")
    assert record["request"]["inputs"].keys() == {"model"}
    assert record["report"]["rows"] == 96
    assert record["report"]["by_rule"] == {"masked-lm": record["report"]["copies"]}
    known = set(originals(place))
    assert all(row["sentence"] not in known for row in table(place / "out"))


def test_held_out_rows_stay_unseen(place: Path) -> None:
    """The selection slice of a training run with this seed has no copies."""
    assert augment(*MASK_ALL, "--seed", "3", "-o", "out") == 0
    assert sentences(place / "out") == masked(division(3).labelled)


def test_of_few_labels_other_rows_stay_unseen(place: Path) -> None:
    few = (*MASK_ALL, "--labels-per-class", "8")
    assert augment(*few, "-o", "out") == 0
    assert augment(*few, "--keep-labels", "-o", "labelled") == 0
    divided = division(0, 8)
    assert divided.unlabelled is not None
    assert sentences(place / "labelled") == masked(divided.labelled)
    expected = masked(divided.labelled) + masked(divided.unlabelled)
    assert sentences(place / "out") == expected
    assert len(expected) + len(divided.to_choose) == 96


def test_labels_are_kept_on_request_and_a_task_reads_them(place: Path) -> None:
    assert augment("--keep-labels", "--format", "csv", "--copies", "2", "-o", "out") == 0
    (place / "both.toml").write_text(
        'kind = "text-classification"\nmax_length = 32\n'
        '[data]\ntrain = ["data/train.tsv", "out/rows.csv"]\nvalidation = "data/dev.tsv"\n'
        '[columns]\ntext = "sentence"\n'
    )
    assert main(["finetune", "tiny", "--task", "both.toml", "--epochs", "1", "-o", "tuned"]) == 0
    steps = record_of(place / "tuned")["report"]["training"]["steps"]
    rows = 96 + record_of(place / "out")["report"]["copies"]
    assert steps == -(-(rows - max(rows // 10, 32)) // 32)


def test_distill_takes_the_directory(place: Path) -> None:
    assert augment("--format", "parquet", "--copies", "2", "-o", "out") == 0
    words = ["distill", "tiny", "--teacher", "tiny", "--task", "data/task.toml", "--epochs", "1"]
    assert main([*words, "--alpha", "1", "--unlabelled", "out", "-o", "taught"]) == 0
    record = record_of(place / "taught")
    assert record["sources"]["unlabelled"] == "out/rows.parquet"
    rows = 72 + record_of(place / "out")["report"]["copies"]
    assert record["report"]["training"]["steps"] == -(-rows // 32)


def test_plain_texts(place: Path) -> None:
    lines_task(place, "\n".join(originals(place)))
    assert augment("--copies", "1", "--rate", "ngram=1", "-o", "out", task="small.toml") == 0
    assert {tuple(row) for row in table(place / "out")} == {("text",)}


def test_pairs(place: Path) -> None:
    rows = [
        f"the film was {a}\tit is very {a}\t{n % 3}" for n, a in enumerate(["good", "bad"] * 20)
    ]
    document = (
        'kind = "text-regression"\nmax_length = 32\n[data]\ntrain = "p.tsv"\n'
        '[columns]\ntext = ["one", "two"]\n'
    )
    write_task(place, document, {"p.tsv": "\n".join(["one\ttwo\tlabel", *rows])})
    more = ("--model", "mlm", "--keep-labels", "--all-rows", "--copies", "4", "-o", "out")
    assert augment(*more, method="tinybert", task="small.toml") == 0
    known = [row.split("\t")[:2] for row in rows]
    first, second = ({row[place] for row in known} for place in (0, 1))
    made = table(place / "out")
    assert all((row["one"] in first) != (row["two"] in second) for row in made)
    assert {row["label"] for row in made} == {0.0, 1.0, 2.0}


def killed_at(monkeypatch: Patch, row: int, error: type[BaseException]) -> None:
    """Let the work end before a row."""
    real, left = method.augment, iter(range(row))

    def augmented(*arguments: object) -> object:
        if next(left, None) is None:
            raise error
        return real(*arguments)

    monkeypatch.setattr(method, "augment", augmented)


@pytest.mark.parametrize("name", ["tang", "tinybert"])
def test_it_goes_on_where_it_was(
    place: Path, monkeypatch: Patch, capfd: Printed, name: str
) -> None:
    more = ("--copies", "2", *(("--model", "mlm") if name == "tinybert" else ()))
    assert augment(*more, "-o", "whole", method=name) == 0
    with monkeypatch.context() as patch:
        killed_at(patch, 30, KeyboardInterrupt)
        assert augment(*more, "-o", "out", method=name) == 130
    assert not (place / "out").exists()
    # a kill may have cut a line in two
    (stage,) = place.glob(".out.*.partial")
    with (stage / "resume" / "rows.jsonl").open("a") as file:
        file.write('[[["the')
    capfd.readouterr()
    assert augment(*more, "-o", "out", method=name) == 0
    assert "going on after 30 of 72 rows" in capfd.readouterr().err
    for file in ("whole", "out"):
        assert list((place / file).glob("rows*")) == [place / file / "rows.jsonl"]
    assert (place / "out" / "rows.jsonl").read_bytes() == (
        place / "whole" / "rows.jsonl"
    ).read_bytes()
    assert not list(place.glob(".*.partial"))


@pytest.mark.usefixtures("place")
def test_a_device_that_is_missed_costs_no_row(monkeypatch: Patch, capfd: Printed) -> None:
    more = ("--model", "mlm", "--copies", "2", "-o", "out")
    with monkeypatch.context() as patch:
        killed_at(patch, 30, KeyboardInterrupt)
        assert augment(*more, method="tinybert") == 130
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        assert augment(*more, "--device", "cuda", method="tinybert") == 6
    capfd.readouterr()
    assert augment(*more, method="tinybert") == 0
    assert "going on after 30 of 72 rows" in capfd.readouterr().err


@pytest.mark.usefixtures("place")
def test_restart_forgets(monkeypatch: Patch, capfd: Printed) -> None:
    with monkeypatch.context() as patch:
        killed_at(patch, 5, KeyboardInterrupt)
        assert augment("-o", "out") == 130
    assert augment("-o", "out", "--restart") == 0
    assert "going on" not in capfd.readouterr().err


def test_options_without_a_part_do_not_change_the_request(place: Path, capfd: Printed) -> None:
    assert augment("-o", "out", "--copies", "2") == 0
    assert augment("-o", "out", "--copies", "2", "--candidates", "7", "--device", "cpu") == 0
    assert "up to date" in capfd.readouterr().err
    for more in (["--seed", "1"], ["--rate", "pos=0.2"], ["--mask-token", "<mask>"]):
        assert augment("-o", "out", "--copies", "2", *more) == 4
    (place / "lexicon").write_text("film NOUN\nbook NOUN\n")
    assert augment("-o", "out", "--copies", "2", "--lexicon", "lexicon") == 4


def test_a_lexicon_is_followed(place: Path) -> None:
    (place / "lexicon").write_text("film NOUN\nbook NOUN\n")
    more = ("--rate", "mask=0", "--rate", "ngram=0", "--rate", "pos=1", "--lexicon", "lexicon")
    assert augment(*more, "--copies", "1", "--all-rows", "-o", "out") == 0
    swapped = {"film": "book", "book": "film"}
    texts = [" ".join(swapped.get(w, w) for w in text.split()) for text in originals(place)]
    expected = [new for new, old in zip(texts, originals(place), strict=True) if new != old]
    assert [row["sentence"] for row in table(place / "out")] == expected


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--method", "tinybert"], 2, ["needs --model"]),
        (["--method", "tinybert", "--model", "tiny"], 1, ["--model tiny", "text-classification"]),
        (["--method", "tinybert", "--model", "backbone"], 1, ["no head for a task", "masked-lm"]),
        (["--method", "tinybert", "--model", "typo"], 1, ["typo"]),
        (["--method", "tinybert", "--model", "maskless"], 1, ["no mask token"]),
        (["--model", "mlm"], 2, ["--model serves masked-lm alone"]),
        (["--vectors", "glove"], 2, ["--vectors serves masked-lm"]),
        (["--method", "tinybert", "--lexicon", "glove", "--model", "mlm"], 2, ["--lexicon serves"]),
        (["--method", "tinybert", "--vectors", "glove", "--model", "mlm"], 1, ["glove:1"]),
        (["--lexicon", "glove"], 1, ["glove:1", "3 columns"]),
        (["--rate", "x=1", "--rate", "mask=2"], 2, ["no x among", "mask=2"]),
        (["--rate", "mask=0.9", "--rate", "pos=0.2"], 2, ["1.1 together"]),
        (["--mask-token", ""], 2, ["--mask-token"]),
        (["--copies", "0"], 2, ["--copies"]),
        (["--all-rows", "--labels-per-class", "8"], 2, ["--all-rows leaves no row out"]),
        (["--task", "small.toml"], 2, ["whole texts", "token-classification"]),
        (["--task", "pool.toml", "--keep-labels"], 2, ["pool has no labels"]),
        (["--task", "unquoted.toml", "--format", "csv"], 2, ["quoting = false"]),
        (
            ["--task", "latin.toml", "--format", "csv", "--method", "tinybert", "--model", "mlm"],
            2,
            ["latin-1", "that masked-lm may"],
        ),
        (["--task", "latin.toml", "--format", "csv", "--mask-token", "…"], 2, ["that mask may"]),
        (["--rate", "mask=0", "--rate", "ngram=0", "--lexicon", "words"], 1, ["no row of task"]),
        (["-o", "mlm/x", "--method", "tinybert", "--model", "mlm"], 2, ["overlap"]),
    ],
)
def test_bad_input_is_explained(
    place: Path, capfd: Printed, words: list[str], code: int, said: list[str]
) -> None:
    save_tiny_bert(place / "backbone", None)
    config = save_tiny_bert(place / "maskless", "masked-lm") / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"mask_token": None}))
    lines_task(place, "a film\n" * 50)
    (place / "small.toml").rename(place / "pool.toml")
    conll_task(place)
    here = (place / "data" / "task.toml").read_text().replace('"train', '"data/train')
    here = here.replace('"dev', '"data/dev')
    for name, more in {"unquoted": "quoting = false", "latin": 'encoding = "latin-1"'}.items():
        (place / f"{name}.toml").write_text(here.replace("[data]", f"[data]\n{more}"))
    (place / "glove").write_text("a b c\n")
    (place / "words").write_text("film NOUN\n")
    before = sorted(place.rglob("*"))
    assert augment(*words) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert [word for word in said if word not in err] == []
    assert "Traceback" not in err
    assert sorted(place.rglob("*")) == before


@pytest.mark.usefixtures("place")
def test_unlabelled_wants_a_directory_of_augment(capfd: Printed) -> None:
    words = ["distill", "tiny", "--teacher", "tiny", "--task", "data/task.toml", "--alpha", "1"]
    assert main([*words, "--unlabelled", "tiny"]) == 2
    assert "tiny is a directory without a table" in capfd.readouterr().err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_the_methods(recipe: Path, capfd: Printed) -> None:
    words = ["augment", "--task", "data/task.toml", "-o", "out"]
    more = ["--model", "mlm"] if recipe.stem == "tinybert" else []
    assert main([*words, *more, "--config", str(recipe), "--dry-run"]) == 0
    assert main([*words, *more, "--method", recipe.stem, "--dry-run"]) == 0
    first, second = capfd.readouterr().err.splitlines()
    assert first == second
