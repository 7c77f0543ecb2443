"""Recurrent students from the command line, for every kind of task that they are for."""

import json
from pathlib import Path

import pytest

from bertslim.cli import main
from bertslim.model.opening import open_model
from bertslim.store.checkpoint import open_checkpoint
from tests.commands.test_distill import TAGS
from tests.tiny import WORDS, record_of, save_tiny_bert
from tests.train.tasks import conll_task

Printed = pytest.CaptureFixture[str]
SMALL = "hidden=6,embedding=8"
SENTENCES = "anna\tB-PER\nwas\tO\nparis\tB-LOC\n\nbob\tB-PER\nfilms\tI-PER\n\n"


def distill(student: str, *more: str, task: str = "data/task.toml", teacher: str = "tiny") -> int:
    words = ["distill", teacher, "--teacher", teacher, "--task", task, "--precision", "fp32"]
    return main([*words, "--student", student, *more])


def pair_task(place: Path, kind: str, label: str) -> str:
    """Write a task on pairs: is it the same word?"""
    rows = [
        f"{a} film\tthe {b}\t{label.format(int(a == b))}" for a in WORDS[5:12] for b in WORDS[5:12]
    ]
    (place / "pairs.tsv").write_text("\n".join(["a\tb\tlabel", *rows]) + "\n")
    (place / "pairs.toml").write_text(
        f'kind = "{kind}"\nmax_length = 16\n[data]\ntrain = "pairs.tsv"\n'
        'validation = "pairs.tsv"\n[columns]\ntext = ["a", "b"]\n'
    )
    return "pairs.toml"


def test_a_student_learns_what_its_teacher_says(place: Path, capfd: Printed) -> None:
    assert distill(f"bilstm,{SMALL}", "--alpha", "1", "--batch-size", "8") == 0
    output = place / "tiny-distilled-bilstm-hidden6-embedding8"
    assert capfd.readouterr().out.splitlines()[-1] == str(output)
    record = record_of(output)
    settings, report = record["request"]["settings"], record["report"]
    assert (settings["epochs"], settings["learning_rate"]) == (20, 1e-3)
    losses = [epoch["soft"] for epoch in report["training"]["losses"]]
    assert losses[-1] < losses[0] / 2
    assert report["after"]["parameters"] < report["teacher"]["parameters"]
    assert main(["evaluate", str(output), "--task", "data/task.toml", "--json"]) == 0
    again = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert again["value"] == report["after"]["score"]["value"]


def test_the_same_command_trains_it_alone(place: Path) -> None:
    assert distill(f"bilstm,{SMALL}", "--alpha", "0", "--epochs", "1", "-o", "alone") == 0
    losses = record_of(place / "alone")["report"]["training"]["losses"]
    assert losses[0].keys() == {"task", "gradient norm"}


def test_a_vocabulary_of_the_data(place: Path, capfd: Printed) -> None:
    """Made of the texts to learn from, and read back with the checkpoint."""
    (place / "more.txt").write_text("zebras in the film\n" * 3)
    more = ("--unlabelled", "more.txt", "--alpha", "1", "--epochs", "2", "-o", "out")
    assert distill(f"attentive-lstm,words=9,{SMALL}", *more) == 0
    report = record_of(place / "out")["report"]
    words = json.loads((place / "out" / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(words) == 9 + 4
    assert main(["evaluate", "out", "--task", "data/task.toml", "--json"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["value"] == report["after"]["score"]["value"]


@pytest.mark.parametrize(
    ("kind", "label"), [("text-classification", "{}"), ("text-regression", "{}.5")]
)
def test_pairs(place: Path, kind: str, label: str) -> None:
    save_tiny_bert(place / "expert", kind)
    task = pair_task(place, kind, label)
    more = ("--epochs", "2", "-o", "out")
    assert distill(f"bilstm,{SMALL}", *more, task=task, teacher="expert") == 0
    model = open_model(open_checkpoint("out"))
    assert model.config.pairs
    assert model.classifier.dense.in_features == 4 * 2 * 6


def test_tags_and_words_without_tags(place: Path) -> None:
    labels = {"id2label": TAGS, "label2id": {tag: n for n, tag in TAGS.items()}}
    save_tiny_bert(place / "expert", "token-classification", **labels)
    conll_task(place, SENTENCES * 6)
    (place / "more.jsonl").write_text('{"tokens": ["bob", "was", "films"]}\n{"tokens": ["a"]}\n')
    (place / "more.txt").write_text("anna is in paris .\n\nwho is bob\n")
    for file in ("more.jsonl", "more.txt"):
        more = ("--unlabelled", file, "--alpha", "1", "--epochs", "1", "-o", file[5:])
        assert distill(f"cnn-lstm,{SMALL}", *more, task="small.toml", teacher="expert") == 0
    report = record_of(place / "txt")["report"]
    assert report["after"]["score"]["metric"] == report["teacher"]["score"]["metric"] == "span_f1"
    # of twelve sentences some are held out, and two are there without tags
    assert record_of(place / "txt")["report"]["training"]["examples"] == 9 + 2


def test_a_tagger_with_a_crf_reads_words_of_its_own(place: Path, capfd: Printed) -> None:
    """Taught by pieces, first without labels and then with them, and decoded on any runtime."""
    labels = {"id2label": TAGS, "label2id": {tag: n for n, tag in TAGS.items()}}
    save_tiny_bert(place / "expert", "token-classification", **labels)
    conll_task(place, SENTENCES * 6)
    (place / "more.txt").write_text("paris-films is zebra's\n")
    words = ["--teacher", "expert", "--task", "small.toml", "--precision", "fp32", "--epochs", "2"]
    student = ["--student", f"cnn-lstm,words=9,crf=1,{SMALL}", "--unlabelled", "more.txt"]
    assert main(["distill", "expert", *words, *student, "--alpha", "1", "-o", "first"]) == 0
    assert main(["distill", "first", *words, "--alpha", "0.5", "--no-cache", "-o", "out"]) == 0
    kept = json.loads((place / "first" / "tokenizer.json").read_text())["model"]["vocab"]
    assert {"paris-films", "zebra's"} < kept.keys()
    learnt = [record_of(place / name)["report"]["training"]["losses"] for name in ("first", "out")]
    assert learnt[0][0].keys() == {"soft", "pseudo", "gradient norm"}
    assert learnt[1][0].keys() == {"soft", "task", "gradient norm"}
    assert open_model(open_checkpoint("out")).crf.transitions.all()
    score = record_of(place / "out")["report"]["after"]["score"]["value"]
    graph = ["quantize", "out", "--precision", "int8", "--target", "onnxruntime", "-o", "int8"]
    assert main([*graph, "--ranges", "static"]) == 0
    assert "the tags of a sentence are for the CRF" in capfd.readouterr().err
    for more in (["out"], ["out", "--runtime", "onnxruntime"], ["int8", "--runtime", "torch"]):
        assert main(["evaluate", *more, "--task", "small.toml", "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["value"] == score
    assert main(["inspect", "out"]) == 0
    assert "tags   chosen together, by a CRF" in capfd.readouterr().out


def test_a_student_goes_on_learning(place: Path) -> None:
    """From labels after the teacher, and by fine-tuning."""
    assert distill(f"bilstm,{SMALL}", "--epochs", "1", "-o", "first") == 0
    words = ["distill", "first", "--teacher", "tiny", "--task", "data/task.toml", "--alpha", "0"]
    assert main([*words, "--epochs", "1", "--precision", "fp32", "-o", "second"]) == 0
    first, second = (record_of(place / name)["report"] for name in ("first", "second"))
    assert second["before"]["score"] == first["after"]["score"]
    words = ["finetune", "second", "--task", "data/task.toml", "--precision", "fp32"]
    assert main([*words, "--epochs", "1", "-o", "third"]) == 0
    assert record_of(place / "third")["request"]["settings"]["learning_rate"] == 1e-3


def test_vectors_from_a_file(place: Path) -> None:
    (place / "glove.txt").write_text("good 1 2 3\nbad 4 5 6\n")
    more = ("--embeddings", "glove.txt", "--freeze-embeddings", "--epochs", "1", "-o", "out")
    assert distill("bilstm,hidden=6", *more) == 0
    model = open_model(open_checkpoint("out"))
    assert model.encoder.embeddings.words.weight[WORDS.index("bad")].tolist() == [4, 5, 6]
    assert record_of(place / "out")["request"]["data"].keys() == {"task", "embeddings"}


@pytest.mark.parametrize(
    ("student", "more", "said"),
    [
        ("bilstmm", [], ["bilstmm is neither NAME=SIZE nor one of bilstm, cnn-lstm"]),
        ("bilstm,width=3", [], ["width is none of hidden, layers"]),
        ("cnn-lstm", [], ["cnn-lstm is for token-classification", "bilstm or attentive-lstm"]),
        ("bilstm,embedding=300", [], ["embedding=300: the teacher's have 32 channels"]),
        ("layers=1", ["--embeddings", "random"], ["--embeddings is for recurrent students"]),
        ("bilstm", ["--embeddings", "none.txt"], ["--embeddings none.txt is no file"]),
        ("bilstm", ["--embeddings", "bad.txt"], ["bad.txt:2: not a word and "]),
        ("bilstm,embedding=9", ["--embeddings", "good.txt"], ["have 2 channels"]),
        (f"bilstm,{SMALL}", ["--objective", "pkd"], ["patient would compare layers"]),
        (
            f"bilstm,{SMALL}",
            ["--weight", "representation=1", "--match", "last"],
            ["representation learns from one layer: --match N"],
        ),
        (
            f"bilstm,{SMALL}",
            ["--unlabelled", "blank.csv", "--alpha", "1"],
            ["every text in blank.csv is blank"],
        ),
    ],
)
def test_what_cannot_be_is_explained(
    place: Path, student: str, more: list[str], said: list[str], capfd: Printed
) -> None:
    (place / "bad.txt").write_text("good 1 2\nbad 3\n")
    (place / "good.txt").write_text("good 1 2\n")
    (place / "blank.csv").write_text("text,n\n ,1\n,2\n")
    assert distill(student, *more, "--epochs", "1") in (1, 2)
    error = capfd.readouterr().err
    for words in said:
        assert words in error
    assert "Traceback" not in error
    assert not list(place.glob("tiny-*"))


@pytest.mark.usefixtures("place")
def test_steps_for_transformers_refuse_it(capfd: Printed) -> None:
    assert distill(f"bilstm,{SMALL}", "--epochs", "1", "-o", "out") == 0
    assert main(["prune-heads", "out", "--task", "data/task.toml", "--remove", "0.5"]) == 1
    assert "out is a recurrent model (slim_lstm)" in capfd.readouterr().err


@pytest.mark.usefixtures("place")
def test_inspect_draws_it(capfd: Printed) -> None:
    assert distill(f"bilstm,{SMALL}", "--epochs", "1", "-o", "out") == 0
    capfd.readouterr()
    assert main(["inspect", "out"]) == 0
    drawn = capfd.readouterr().out
    assert "slim_lstm; text-classification (0, 1)" in drawn
    assert "    0  8 -> 2 x 6, both directions" in drawn
    assert main(["inspect", "out", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["layers"] == [{"inputs": 8, "hidden_size": 6}]
    assert found["lineage"][0]["command"] == "distill"


def test_few_labels_and_all_texts(place: Path, capfd: Printed) -> None:
    """Of 96 training texts 2 x 8 have labels, of which 4 are held out to choose by."""
    few = ("--labels-per-class", "8", "--epochs", "1")
    student = f"bilstm,{SMALL}"
    assert distill(student, *few, "--alpha", "1", "-o", "taught") == 0
    assert distill(student, *few, "--alpha", "0", "-o", "alone") == 0
    shown = [
        record_of(place / name)["report"]["training"]["examples"] for name in ("taught", "alone")
    ]
    assert shown == [92, 12]
    words = ["finetune", "tiny", "--task", "data/task.toml", "--precision", "fp32", *few]
    assert main([*words, "-o", "teacher"]) == 0
    assert record_of(place / "teacher")["report"]["training"]["examples"] == 12
    capfd.readouterr()
    save_tiny_bert(place / "scorer", "text-regression")
    task = pair_task(place, "text-regression", "{}.5")
    assert distill(student, *few, task=task, teacher="scorer") == 2
    assert "--labels-per-class is for text-classification" in capfd.readouterr().err


def test_a_student_learns_in_three_stages(place: Path) -> None:
    """Representation, logits, labels; the first is kept in the cache as the others are."""
    weights = ("--weight", "soft=0", "--alpha", "1")
    more = ("--weight", "representation=1", *weights, "--epochs", "6", "--batch-size", "8")
    assert distill(f"bilstm,{SMALL}", *more, "-o", "first") == 0
    report = record_of(place / "first")["report"]["training"]
    losses = [epoch["representation"] for epoch in report["losses"]]
    assert losses[-1] < losses[0]
    assert report["metrics"] == []
    for source, name, learnt in (
        ("first", "second", ["--weight", "mse=1", *weights]),
        ("second", "third", ["--alpha", "0"]),
    ):
        words = ["distill", source, "--teacher", "tiny", "--task", "data/task.toml", "--thaw"]
        assert main([*words, "--precision", "fp32", "--epochs", "1", *learnt, "-o", name]) == 0
    assert len(record_of(place / "third")["lineage"]) == 2


def test_a_student_thaws(place: Path) -> None:
    """Words that begin to learn at the end have not gone far from where they were."""
    student = f"bilstm,layers=2,{SMALL}"
    ways = {"thawed": ["--thaw"], "frozen": ["--freeze-embeddings"], "open": []}
    words = {}
    for name, more in ways.items():
        assert distill(student, *more, "--epochs", "1", "-o", name) == 0
        words[name] = open_model(open_checkpoint(name)).encoder.embeddings.words.weight
    way = {name: float((words[name] - words["frozen"]).detach().norm()) for name in ways}
    assert 0 < way["thawed"] < way["open"] / 2
    assert record_of(place / "thawed")["request"]["settings"]["thaw"] is True
