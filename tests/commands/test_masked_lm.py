"""Masked words from the command line: fine-tuned, scored, and distilled without any task."""

import json
from pathlib import Path

import pytest
from transformers import BertForMaskedLM

from bertslim.cli import main
from tests.tiny import record_of, save_tiny_bert, sentences

Printed = pytest.CaptureFixture[str]


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
    more = ("--epochs", "4", "--learning-rate", "1e-3", "--precision", "fp32", "-o", "words")
    assert run("finetune", "backbone", *more) == 0
    report = record_of(place / "words")["report"]
    losses = [epoch["task"] for epoch in report["training"]["losses"]]
    assert losses[-1] < losses[0] - 0.5
    found = evaluated("words", capfd)
    assert found["metrics"] == report["validation"]["metrics"]
    assert found["metrics"].keys() == {"accuracy", "perplexity"}
    # the masks of an evaluation never change
    assert evaluated("words", capfd) == found
    stock = BertForMaskedLM.from_pretrained(place / "words")
    assert stock.cls.predictions.decoder.weight is stock.bert.embeddings.word_embeddings.weight
