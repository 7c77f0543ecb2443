"""Masked words from the command line: fine-tuned, scored, and distilled without any task."""

import json
from pathlib import Path

import pytest
from transformers import BertForMaskedLM

from bertslim.cli import main
from bertslim.store.deployment import read_deployment
from tests.tiny import WORDS, record_of, save_tiny_bert, sentences, write_sentence_task

Printed = pytest.CaptureFixture[str]
QUICK = ("--epochs", "2", "--learning-rate", "1e-3", "--precision", "fp32", "--batch-size", "8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a backbone, and texts in two formats."""
    save_tiny_bert(tmp_path / "backbone", None)
    texts = [text for text, _ in sentences(120)]
    (tmp_path / "wiki.raw").write_text("\n".join(texts[:60]))
    (tmp_path / "films.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts[60:100]))
    (tmp_path / "wiki.tokens").write_text("\n".join(texts[100:]))
    (tmp_path / "text.toml").write_text(
        'kind = "masked-lm"\nmax_length = 16\n'
        '[data]\ntrain = ["wiki.raw", "films.jsonl"]\nvalidation = "wiki.tokens"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, *words: str) -> int:
    return main([command, *words, "--task", "text.toml"])


def evaluated(model: str, capfd: Printed) -> dict[str, object]:
    capfd.readouterr()
    assert run("evaluate", model, "--json") == 0
    found: dict[str, object] = json.loads(capfd.readouterr().out)
    return found


def test_a_backbone_learns_to_guess_words(place: Path, capfd: Printed) -> None:
    more = (*QUICK, "--epochs", "4", "--learning-rate", "3e-3", "-o", "words")
    assert run("finetune", "backbone", *more) == 0
    report = record_of(place / "words")["report"]
    losses = [epoch["task"] for epoch in report["training"]["losses"]]
    assert losses[-1] < losses[0] - 0.3
    found = evaluated("words", capfd)
    assert found["metrics"] == report["validation"]["metrics"]
    assert found["metrics"].keys() == {"accuracy", "perplexity"}
    # the masks of an evaluation never change
    assert evaluated("words", capfd) == found
    stock = BertForMaskedLM.from_pretrained(place / "words")
    assert stock.cls.predictions.decoder.weight is stock.bert.embeddings.word_embeddings.weight


def losses(directory: Path) -> list[dict[str, float]]:
    report = record_of(directory)["report"]
    return [dict(epoch) for epoch in report["training"]["losses"]]


@pytest.fixture
def words(place: Path) -> Path:
    """A deeper masked language model beside the backbone."""
    return save_tiny_bert(place / "words", "masked-lm", num_hidden_layers=4)


def test_the_triple_loss_makes_a_smaller_language_model(words: Path, capfd: Printed) -> None:
    more = ("--teacher", "words", "--objective", "distilbert", "--student", "layers=2", *QUICK)
    assert run("distill", "words", *more, "-o", "small") == 0
    first, last = losses(words.parent / "small")
    assert first.keys() == {"soft", "task", "cosine", "gradient norm"}
    assert all(last[term] < first[term] for term in ("soft", "task", "cosine"))
    record = record_of(words.parent / "small")
    assert record["request"]["settings"]["words"] == "masked"
    report = record["report"]
    assert evaluated("small", capfd)["value"] == report["after"]["score"]["value"]
    assert evaluated("words", capfd)["value"] == report["teacher"]["score"]["value"]
    assert len(BertForMaskedLM.from_pretrained(words.parent / "small").bert.encoder.layer) == 2
    # the paper's code compares the guesses at all tokens
    assert run("distill", "words", *more, "-o", "small") == 0
    assert run("distill", "words", *more, "--words", "all", "-o", "small") == 4
    assert run("distill", "words", *more, "--words", "all", "-o", "all") == 0
    assert losses(words.parent / "all")[0]["soft"] != first["soft"]


def test_int8_leaves_the_table_that_scores_the_words_in_float(words: Path) -> None:
    given = ["--precision", "int8", "--target", "onnxruntime", "--ranges", "dynamic"]
    assert main(["quantize", str(words), *given, "-o", "int8"]) == 0
    deployment = read_deployment(words.parent / "int8")
    assert deployment is not None
    assert deployment.details["embedding"] == "float"


@pytest.mark.parametrize("shape", ["layers=1", "layers=1,hidden=16,heads=4,ffn=24"])
def test_encoders_learn_from_plain_text_and_then_a_task(place: Path, shape: str) -> None:
    """TinyBERT's two stages: no head before there is a task, and no word is masked."""
    more = ("--teacher", "backbone", "--objective", "tinybert", "--student", shape, *QUICK)
    assert run("distill", "backbone", *more, "-o", "general") == 0
    first, last = losses(place / "general")
    assert first.keys() == {"embeddings", "hidden", "attention", "gradient norm"}
    assert last["hidden"] < first["hidden"]
    config = json.loads((place / "general" / "config.json").read_text())
    assert (config["architectures"], config["num_hidden_layers"]) == (["BertModel"], 1)
    report = record_of(place / "general")["report"]
    # 100 texts in full rows, none held out
    assert report["training"]["metrics"] == []
    assert "score" not in report["after"]
    assert report["retention"] is None
    save_tiny_bert(place / "expert")
    task = str(write_sentence_task(place / "data"))
    stage = ["distill", "general", "--teacher", "expert", "--task", task, *QUICK]
    assert main([*stage, "--objective", "tinybert", "--alpha", "1", "-o", "out"]) == 0
    assert {"soft", "hidden"} <= losses(place / "out")[0].keys()
    assert record_of(place / "out")["lineage"][0]["request"]["settings"]["words"] == "masked"


def test_plain_text_is_read_by_the_encoders_of_any_models(place: Path) -> None:
    save_tiny_bert(place / "expert")
    more = ("--teacher", "expert", "--objective", "tinybert", *QUICK, "--epochs", "1")
    assert run("distill", "backbone", *more, "-o", "out") == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--objective", "distilbert"], 1, ["--teacher backbone", "it has no head for a task"]),
        (["--student", "hidden=16", "--teacher", "words"], 2, ["hidden=16", "word table"]),
        (["--teacher", "wide"], 2, ["different numbers of words", "33 and 41"]),
        (["--objective", "tinybert", "--words", "all"], 2, ["no word is guessed"]),
        (["--unlabelled", "wiki.raw"], 2, ["--unlabelled is for tasks on texts and tags"]),
    ],
)
def test_bad_input_is_explained(
    words: Path, capfd: Printed, more: list[str], code: int, said: list[str]
) -> None:
    save_tiny_bert(words.parent / "wide", "masked-lm", vocab_size=len(WORDS) + 8)
    teacher = [] if "--teacher" in more else ["--teacher", "backbone"]
    assert run("distill", "words", *teacher, *more, "-o", "out") == code
    err = capfd.readouterr().err
    assert [word for word in said if word not in err] == []
    assert "Traceback" not in err
    assert not (words.parent / "out").exists()
