import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from bertslim.model.loading import load_model, model_kind, save_model, stock_reasons
from bertslim.store.checkpoint import open_checkpoint
from tests.model.zoo import ALL, FAMILIES, batch, run, same, save_stock, stock_model

TOLERANCE = 1e-5


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_outputs_equal_those_of_transformers(family: str, kind: str | None, tmp_path: Path) -> None:
    theirs = stock_model(family, kind)
    theirs.save_pretrained(tmp_path)
    ours = load_model(save_stock(tmp_path, family, kind))
    inputs = batch(family)
    expected = run(theirs, **inputs, output_hidden_states=True)
    found = run(ours, **inputs, output_hidden_states=True)
    real = inputs["attention_mask"].bool()
    assert model_kind(ours) == kind
    assert len(found.hidden_states) == len(expected.hidden_states) == 3
    for ours_state, their_state in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert same(ours_state[real], their_state[real], TOLERANCE)
    assert set(found) == set(expected)
    for name in set(expected) - {"hidden_states"}:
        a, b = found[name], expected[name]
        per_token = a.shape[:2] == real.shape
        assert same(a[real], b[real], TOLERANCE) if per_token else same(a, b, TOLERANCE), name


@pytest.mark.parametrize("family", ["Bert", "Roberta", "Electra"])
def test_token_types_and_positions_and_embeddings_can_be_given(family: str, tmp_path: Path) -> None:
    ours = load_model(save_stock(tmp_path, family, None))
    theirs = AutoModel.from_pretrained(tmp_path)
    inputs = batch(family)
    inputs["token_type_ids"] = torch.arange(12).ge(6).long().expand(3, 12)
    inputs["position_ids"] = torch.arange(12).flip(0).expand(3, 12)
    expected = run(theirs, **inputs).last_hidden_state
    assert same(run(ours, **inputs).last_hidden_state, expected, TOLERANCE)
    del inputs["position_ids"]
    inputs["inputs_embeds"] = theirs.get_input_embeddings()(inputs.pop("input_ids"))
    expected = run(theirs, **inputs).last_hidden_state
    assert same(run(ours, **inputs).last_hidden_state, expected, TOLERANCE)


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_a_round_trip_changes_no_bit(family: str, kind: str | None, tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path / "in", family, kind)
    model = load_model(checkpoint)
    assert stock_reasons(model.config) == []
    save_model(model, tmp_path / "out", tokenizer_from=None)
    before = load_file(tmp_path / "in" / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(after[name].equal(before[name]) for name in before)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    old, new = (AutoConfig.from_pretrained(tmp_path / name) for name in ("in", "out"))
    assert json.loads(new.to_json_string()) == json.loads(old.to_json_string())


def test_config_json_is_the_same_every_time(tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path / "in", "Bert", "text-classification")
    for name in ("one", "two"):
        save_model(load_model(checkpoint), tmp_path / name, tokenizer_from=None)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    inputs, real = batch(family), batch(family)["attention_mask"].bool()
    tokens = torch.arange(36).view(3, 12).remainder(3).masked_fill(~real, -100)
    labels = {
        "text-classification": {"labels": torch.tensor([0, 2, 1])},
        "text-regression": {"labels": torch.tensor([0.5, -1.0, 2.0])},
        "token-classification": {"labels": tokens},
        "masked-lm": {"labels": tokens},
        "question-answering": {
            "start_positions": torch.tensor([1, 2, 40]),
            "end_positions": torch.tensor([3, 2, 40]),
        },
    }
    for kind, targets in labels.items():
        theirs = stock_model(family, kind)
        ours = load_model(save_stock(tmp_path / kind, family, kind))
        expected = run(theirs, **inputs, **targets).loss
        assert same(run(ours, **inputs, **targets).loss, expected, TOLERANCE), kind


def test_several_labels_may_be_true(tmp_path: Path) -> None:
    changes = {"problem_type": "multi_label_classification"}
    theirs = stock_model("Bert", "text-classification", **changes)
    ours = load_model(save_stock(tmp_path, "Bert", "text-classification", **changes))
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    expected = run(theirs, **batch(), labels=labels).loss
    assert same(run(ours, **batch(), labels=labels).loss, expected, TOLERANCE)


def test_activations_follow_the_family(tmp_path: Path) -> None:
    for family, name in (("Bert", "hidden_act"), ("DistilBert", "activation")):
        theirs = stock_model(family, "masked-lm", **{name: "relu"})
        ours = load_model(save_stock(tmp_path / family, family, "masked-lm", **{name: "relu"}))
        assert ours.config.mlm_activation == "relu"
        real = batch()["attention_mask"].bool()
        assert same(run(ours, **batch()).logits[real], run(theirs, **batch()).logits[real], 1e-5)
    ours = load_model(save_stock(tmp_path / "R", "Roberta", "masked-lm", hidden_act="relu"))
    assert (ours.config.hidden_act, ours.config.mlm_activation) == ("relu", "gelu")
    assert stock_reasons(ours.config) == []


def test_a_masked_lm_opens_with_the_decoder_that_it_has(tmp_path: Path) -> None:
    save_stock(tmp_path / "in", "Bert", "masked-lm")
    file = tmp_path / "in" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tie_word_embeddings": False}))
    model = load_model(open_checkpoint(tmp_path / "in"))
    save_model(model, tmp_path / "out", tokenizer_from=None)
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    real = batch()["attention_mask"].bool()
    found, expected = run(theirs, **batch()).logits, run(model, **batch()).logits
    assert same(found[real], expected[real], TOLERANCE)


def test_settings_that_are_not_ours_survive(tmp_path: Path) -> None:
    save_stock(tmp_path / "in", "Bert", None)
    file = tmp_path / "in" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"their_own": [1, 2]}))
    save_model(load_model(open_checkpoint(tmp_path / "in")), tmp_path / "out", tokenizer_from=None)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["their_own"] == [1, 2]
