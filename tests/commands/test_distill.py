"""`bertslim distill` from the command line: what it makes, records and refuses."""

import json
from pathlib import Path

import pytest

from bertslim.cli import main
from tests.model.zoo import save_stock
from tests.tiny import WORDS, record_of, save_tiny_bert, tiny_tokenizer
from tests.train.tasks import conll_task, lines_task, squad_task, write_task

Printed = pytest.CaptureFixture[str]
TAGS = {0: "B-LOC", 1: "B-PER", 2: "I-PER", 3: "O"}


def distill(source: str, *more: str, task: str = "data/task.toml", teacher: str = "tiny") -> int:
    taught = [] if "--teacher" in more else ["--teacher", teacher]
    told = [] if "--task" in more else ["--task", task]
    return main(["distill", source, *taught, *told, "--precision", "fp32", *more])


def test_a_pruned_model_recovers_what_its_teacher_says(place: Path, capfd: Printed) -> None:
    words = ["prune-heads", "tiny", "--task", "data/task.toml", "--remove", "0.5", "-q"]
    assert main(words) == 0
    more = ("--alpha", "1", "--epochs", "6", "--learning-rate", "1e-3", "--batch-size", "8")
    assert distill("tiny-heads50", *more) == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"{place}/tiny-heads50-distilled"
    record = record_of(place / "tiny-heads50-distilled")
    report = record["report"]
    losses = [epoch["soft"] for epoch in report["training"]["losses"]]
    assert losses[-1] < losses[0] / 2
    assert report["after"]["parameters"] == report["before"]["parameters"]
    assert report["teacher"]["parameters"] > report["after"]["parameters"]
    values = {who: report[who]["score"]["value"] for who in ("teacher", "after")}
    assert report["retention"] == values["after"] / values["teacher"]


def test_both_models_are_recorded_and_count(place: Path, capfd: Printed) -> None:
    assert distill("tiny", "--epochs", "1", "-o", "out") == 0
    record = record_of(place / "out")
    inputs = record["request"]["inputs"]
    assert inputs["model"] == inputs["teacher"]
    assert record["sources"] == {"model": "tiny", "teacher": "tiny", "task": "data/task.toml"}
    assert distill("tiny", "--epochs", "1", "-o", "out") == 0
    assert "up to date" in capfd.readouterr().err
    save_tiny_bert(place / "other", seed=1)
    assert distill("tiny", "--epochs", "1", "-o", "out", teacher="other") == 4
    assert distill("tiny", "--epochs", "1", "-o", "out", "--alpha", "0.5") == 4


def test_a_model_without_a_head_gets_one(place: Path) -> None:
    save_tiny_bert(place / "backbone", None)
    assert distill("backbone", "--epochs", "1", "-o", "out") == 0
    assert main(["evaluate", "out", "--task", "data/task.toml"]) == 0


def world(place: Path, kind: str) -> str:
    """Write a task of this kind, and a teacher for it; return the task file."""
    labels = {"id2label": TAGS, "label2id": {tag: n for n, tag in TAGS.items()}}
    save_tiny_bert(place / "expert", kind, **(labels if kind.startswith("token") else {}))
    if kind == "token-classification":
        conll_task(place, "anna\tB-PER\nwas\tO\nparis\tB-LOC\n\nbob\tB-PER\nfilms\tI-PER\n\n" * 6)
    elif kind == "question-answering":
        squad_task(place)
    else:
        rows = "".join(f"{word} film .\t{n % 5}\n" for n, word in enumerate(WORDS[5:25]))
        document = (
            'kind = "text-regression"\nmax_length = 16\n'
            '[data]\ntrain = "a.tsv"\nvalidation = "a.tsv"\n'
        )
        write_task(place, document, {"a.tsv": "text\tlabel\n" + rows})
    return "small.toml"


KINDS = ["text-regression", "token-classification", "question-answering"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_task(place: Path, kind: str) -> None:
    task = world(place, kind)
    assert distill("expert", "--epochs", "2", "-o", "out", task=task, teacher="expert") == 0
    losses = record_of(place / "out")["report"]["training"]["losses"]
    assert all({"soft", "task"} <= epoch.keys() for epoch in losses)
    # it starts as its own teacher, and the labels draw it away
    assert losses[0]["soft"] < losses[0]["task"]


def losses(directory: Path) -> list[dict[str, float]]:
    report = record_of(directory)["report"]
    return [dict(epoch) for epoch in report["training"]["losses"]]


def test_a_teacher_is_asked_once_and_by_many_runs(place: Path, capfd: Printed) -> None:
    more = ("--objective", "pkd", "--student", "layers=2", "--epochs", "2")
    assert distill("tiny", *more, "--cache", "kept", "-o", "cached") == 0
    files = sorted(path for path in (place / "kept").rglob("*") if path.is_file())
    assert len(files) == 1
    assert "the teacher's answers to" in capfd.readouterr().err
    assert distill("tiny", *more, "--cache", "kept", "--alpha", "0.5", "-o", "other") == 0
    assert "the teacher's answers" not in capfd.readouterr().err
    assert sorted(path for path in (place / "kept").rglob("*") if path.is_file()) == files
    # where answers lie is not part of what is asked for
    assert distill("tiny", *more, "--no-cache", "-o", "cached") == 0
    assert "up to date" in capfd.readouterr().err
    assert distill("tiny", *more, "--no-cache", "-o", "live") == 0
    for found, expected in zip(losses(place / "cached"), losses(place / "live"), strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert not [path for path in (place / "cached").iterdir() if path.is_dir()]


def write_pairs(place: Path) -> str:
    """Write a task on pairs of texts; return its file."""
    rows = "".join(f"a {w} film\tit was {w}\t{n % 2}\n" for n, w in enumerate(WORDS[5:30]))
    document = (
        'kind = "text-classification"\nmax_length = 16\n'
        '[data]\ntrain = "a.tsv"\nvalidation = "a.tsv"\n[columns]\ntext = ["one", "two"]\n'
    )
    write_task(place, document, {"a.tsv": "one\ttwo\tlabel\n" + rows})
    return "small.toml"


@pytest.mark.parametrize("cache", ["--no-cache", "--cache=kept"])
@pytest.mark.parametrize("objective", ["pkd", "tinybert"])
def test_a_student_without_token_types_has_a_teacher_with_them(
    place: Path, cache: str, objective: str
) -> None:
    """The teacher reads first and second text apart, as it was trained."""
    task = write_pairs(place)
    save_stock(place / "student", "DistilBert", None)
    tiny_tokenizer().save_pretrained(place / "student")
    words = [cache, "--objective", objective, "--alpha", "1", "--weight", "attention=0"]
    assert distill("student", *words, "--epochs", "2", "-o", "out", task=task) == 0
    assert main(["evaluate", "tiny", "--task", task, "-q", "--json"]) == 0
    report = record_of(place / "out")["report"]
    assert report["training"]["losses"][1]["soft"] < report["training"]["losses"][0]["soft"]


def foreigner(directory: Path, kind: str | None, **changes: object) -> Path:
    """Write a model whose words have other numbers."""
    save_tiny_bert(directory, kind, **changes)
    file = directory / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    ids = tokenizer["model"]["vocab"]
    last = len(ids) - 1
    tokenizer["model"]["vocab"] = {w: last + 5 - n if n > 4 else n for w, n in ids.items()}
    file.write_text(json.dumps(tokenizer))
    return directory


@pytest.mark.parametrize("cache", ["--no-cache", "--cache=kept"])
def test_a_student_with_another_vocabulary_learns_what_is_said_of_a_text(
    place: Path, cache: str
) -> None:
    foreigner(place / "foreign", "text-classification")
    more = ("--alpha", "1", "--epochs", "4", "--learning-rate", "1e-3", "-o", "out", cache)
    assert distill("foreign", *more) == 0
    found = losses(place / "out")
    assert found[-1]["soft"] < found[0]["soft"] / 2
    report = record_of(place / "out")["report"]
    assert main(["evaluate", "tiny", "--task", "data/task.toml"]) == 0
    assert report["teacher"]["score"]["metric"] == "accuracy"


def test_states_of_tags_are_compared_where_token_types_are_not_read(place: Path) -> None:
    """A DistilBERT has none, a BERT has: the tokens are the same."""
    task = world(place, "token-classification")
    save_stock(place / "student", "DistilBert", None)
    tiny_tokenizer().save_pretrained(place / "student")
    more = ("--objective", "tinybert", "--epochs", "1", "-o", "out")
    assert distill("student", *more, task=task, teacher="expert") == 0
    assert losses(place / "out")[0]["attention"] > 0


def test_states_of_a_text_with_tags_can_be_all_that_is_kept(place: Path) -> None:
    task = world(place, "token-classification")
    foreigner(place / "foreign", None)
    more = ("--objective", "pkd", "--alpha", "0", "--cache", "kept", "--epochs", "1", "-o", "out")
    assert distill("foreign", *more, task=task, teacher="expert") == 0
    assert losses(place / "out")[0].keys() == {"task", "patient", "gradient norm"}


def test_a_student_with_another_vocabulary_learns_what_is_said_of_a_word(place: Path) -> None:
    task = world(place, "token-classification")
    foreigner(place / "foreign", None)
    more = ("--alpha", "1", "--epochs", "4", "--learning-rate", "1e-3", "-o", "out")
    assert distill("foreign", *more, task=task, teacher="expert") == 0
    found = losses(place / "out")
    assert found[-1]["soft"] < found[0]["soft"] / 2


def test_tokens_have_to_be_the_same_where_they_are_compared(place: Path, capfd: Printed) -> None:
    task = world(place, "question-answering")
    foreigner(place / "foreign", None)
    assert distill("foreign", "--epochs", "1", "-o", "out", task=task, teacher="expert") == 2
    said = "read other tokens, and question-answering compares tokens"
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("cache", ["--no-cache", "--cache=kept"])
def test_the_teacher_is_asked_about_texts_without_labels(place: Path, cache: str) -> None:
    (place / "more.txt").write_text("".join(f"the {word} plot was it .\n" for word in WORDS[5:25]))
    more = ("--unlabelled", "more.txt", "--alpha", "1", cache, "--epochs", "2", "-o", "out")
    assert distill("tiny", *more, "--student", "layers=1") == 0
    record = record_of(place / "out")
    assert record["request"]["data"].keys() == {"task", "unlabelled"}
    assert record["sources"]["unlabelled"] == "more.txt"
    # 96 rows, of which 24 are held out, and 20 more texts
    assert record["report"]["training"]["examples"] == 2 * (96 - 24 + 20)
    assert losses(place / "out")[0].keys() == {"soft", "gradient norm"}


def test_a_student_is_cut_out_of_the_input(place: Path, capfd: Printed) -> None:
    words = ["--student", "layers=1,hidden=16,heads=4,ffn=24", "--objective", "tinybert"]
    assert distill("tiny", *words, "--epochs", "1") == 0
    name = "tiny-distilled-layers1-hidden16-heads4-ffn24"
    assert capfd.readouterr().out == f"{place}/{name}\n"
    config = json.loads((place / name / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"]) == ("bert", 1)
    sizes = ("hidden_size", "num_attention_heads", "intermediate_size")
    assert [config[size] for size in sizes] == [16, 4, 24]
    report = record_of(place / name)["report"]
    assert 0 < report["energy"] < 1
    # a second stage, as in the paper: what the teacher predicts
    assert distill(name, "--alpha", "1", "--temperature", "1", "--epochs", "1", "-o", "out") == 0
    lineage = record_of(place / "out")["lineage"]
    assert [step["request"]["settings"]["objective"] for step in lineage] == ["tinybert"]


def test_objectives_are_recorded_with_the_weights_that_they_have(place: Path) -> None:
    words = ["--objective", "tinybert", "--weight", "attention=0", "--weight", "mse=0.5"]
    assert distill("tiny", *words, "--epochs", "1", "-o", "out") == 0
    record = record_of(place / "out")
    asked = record["request"]["settings"]
    assert (asked["objective"], asked["weights"]) == ("tinybert", {"attention": 0, "mse": 0.5})
    weights = record["report"]["weights"]
    assert weights == {"embeddings": 1 / 32, "hidden": 1 / 32, "mse": 0.5}
    assert record["report"]["training"]["losses"][0].keys() == {*weights, "gradient norm"}
    assert record["report"]["layers"] == [[1, 1], [2, 2]]
    # what was recorded can be asked for again
    (place / "was.json").write_text((place / "out" / "provenance.json").read_text())
    assert main(["distill", "--config", "was.json", "-o", "out"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--alpha", "1.5", "--temperature", "0"], 2, ["--alpha", "--temperature"]),
        (["--alpha", "nan"], 2, ["--alpha"]),
        (["--weight", "patience=1", "--match", "x"], 2, ["patience", "--match"]),
        (["--objective", "pkd", "--match", "3"], 2, ["layer 3"]),
        (["--match", "99"], 2, ["--match pairs layers"]),
        (["--student", "layers=0", "--alpha", "2"], 2, ["layers=0", "--alpha"]),
        (
            ["--thaw", "--objective", "pkd", "--weight", "soft=0", "--weight", "task=0"],
            2,
            ["--thaw begins with the head, which has no part in patient"],
        ),
        (
            [
                *("--thaw", "--objective", "tinybert"),
                *("--weight", "hidden=0", "--weight", "embeddings=0"),
            ],
            2,
            ["--thaw begins with the head, which has no part in attention"],
        ),
        (["--student", "layers=99999999999999999"], 2, ["layers=99999999999999999: it has 2"]),
        (["--student", "layers=3,hidden=33"], 2, ["layers=3", "hidden=33"]),
        (["--student", "hidden=16", "--objective", "pkd"], 2, ["16 channels with 32"]),
        (["--teacher", "tagger"], 1, ["--teacher tagger", "for token-classification"]),
        (["--teacher", "named"], 1, ["--teacher named", "no, yes", "0, 1"]),
        (["--teacher", "foreign", "--objective", "tinybert"], 2, ["foreign read other tokens"]),
        (["--cache", "x", "--no-cache"], 2, ["--cache and --no-cache"]),
        (["--unlabelled", "small.toml"], 2, ["--unlabelled small.toml", "has no labels"]),
        (
            ["--unlabelled", "a", "--task", "small.toml"],
            2,
            ["small is masked-lm", "texts and tags"],
        ),
        (["--teacher", "typo"], 1, ["typo"]),
        (["--task", "small.toml"], 1, ["for text-classification, but task small is masked-lm"]),
        (["-o", "named/x", "--teacher", "named"], 2, ["overlap"]),
    ],
)
def test_bad_input_is_explained(
    place: Path, capfd: Printed, words: list[str], code: int, said: list[str]
) -> None:
    save_tiny_bert(place / "tagger", "token-classification")
    save_tiny_bert(place / "named", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    foreign = save_tiny_bert(place / "foreign") / "tokenizer.json"
    foreign.write_text(foreign.read_text().replace('"good"', '"gut"'))
    lines_task(place, "a film\n" * 50)
    (place / "a").touch()
    before = sorted(place.rglob("*"))
    assert distill("tiny", *words) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert [word for word in said if word not in err] == []
    assert "Traceback" not in err
    assert sorted(place.rglob("*")) == before
