import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertslim.errors import CheckpointError
from bertslim.model.configuration import layer_widths
from bertslim.model.loading import (
    KINDS,
    load_encoder,
    load_for_task,
    load_model,
    model_kind,
    save_model,
)
from bertslim.model.surgery import remove_heads
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from tests.model.zoo import FAMILIES, batch, run, same, save_stock, stock_model

Tensors = dict[str, Tensor]


def edited(
    directory: Path, edit: Callable[[Tensors], Tensors] = dict, **settings: Any
) -> Checkpoint:
    """The checkpoint after a change to its tensors and settings."""
    file = directory / "model.safetensors"
    save_file(edit(load_file(file)), file)
    config = directory / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return open_checkpoint(directory)


def faults_of(checkpoint: Checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(checkpoint)
    assert caught.value.hint
    return str(caught.value)


def test_heads_that_transformers_4_pruned_stay_pruned(tmp_path: Path) -> None:
    expected = remove_heads(
        load_model(save_stock(tmp_path / "in", "Bert", "text-classification")), {0: (1, 3), 1: (0,)}
    )
    kept = {0: (0, 2), 1: (1, 2, 3)}

    def sliced(tensors: Tensors) -> Tensors:
        for layer, heads in kept.items():
            rows = torch.tensor([head * 8 + i for head in heads for i in range(8)])
            root = f"bert.encoder.layer.{layer}.attention."
            for part in ("query", "key", "value"):
                for kind in ("weight", "bias"):
                    name = f"{root}self.{part}.{kind}"
                    tensors[name] = tensors[name][rows]
            name = f"{root}output.dense.weight"
            tensors[name] = tensors[name][:, rows].contiguous()
        return tensors

    pruned = {"0": [1, 3], "1": [0]}
    checkpoint = edited(tmp_path / "in", sliced, pruned_heads=pruned)
    model = load_model(checkpoint)
    assert [w.heads for w in layer_widths(model.config)] == [2, 3]
    assert same(run(model, **batch()).logits, run(expected, **batch()).logits, 0.0)
    save_model(model, tmp_path / "out", tokenizer_from=None)
    assert "pruned_heads" not in (tmp_path / "out" / "config.json").read_text()
    again = load_model(open_checkpoint(tmp_path / "out"))
    assert same(run(again, **batch()).logits, run(expected, **batch()).logits, 0.0)


def test_old_names_are_understood(tmp_path: Path) -> None:
    expected = run(stock_model("Bert", "masked-lm"), **batch()).logits
    save_stock(tmp_path, "Bert", "masked-lm")

    def aged(tensors: Tensors) -> Tensors:
        old = {}
        for name, tensor in tensors.items():
            if "LayerNorm" in name:
                name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
            old[name] = tensor
        old["bert.embeddings.position_ids"] = torch.arange(40)[None]
        old["cls.predictions.decoder.weight"] = old[
            "bert.embeddings.word_embeddings.weight"
        ].clone()
        old["cls.predictions.decoder.bias"] = old.pop("cls.predictions.bias")
        old["cls.seq_relationship.weight"] = torch.randn(2, 32)
        old["cls.seq_relationship.bias"] = torch.randn(2)
        old["bert.pooler.dense.weight"] = torch.randn(32, 32)
        old["bert.pooler.dense.bias"] = torch.randn(32)
        return old

    checkpoint = edited(tmp_path, aged, architectures=["BertForPreTraining"])
    model = load_model(checkpoint)
    assert model_kind(model) == "masked-lm"
    real = batch()["attention_mask"].bool()
    assert same(run(model, **batch()).logits[real], expected[real], 1e-5)
    # the pooler that pre-training made is what a classifier starts from
    pooler = load_for_task(checkpoint, "text-classification", ("a", "b")).encoder.pooler
    assert pooler.weight.equal(checkpoint.read_tensors()["bert.pooler.dense.weight"])


def test_an_encoder_may_lack_its_pooler_and_carry_a_prefix(tmp_path: Path) -> None:
    expected = run(stock_model("Bert", None), **batch()).last_hidden_state
    save_stock(tmp_path, "Bert", None)
    checkpoint = edited(
        tmp_path,
        lambda tensors: {f"bert.{n}": t for n, t in tensors.items() if "pooler" not in n},
    )
    outputs = run(load_model(checkpoint), **batch())
    assert set(outputs) == {"last_hidden_state"}
    real = batch()["attention_mask"].bool()
    assert same(outputs.last_hidden_state[real], expected[real], 1e-5)


def test_a_discriminator_is_an_encoder(tmp_path: Path) -> None:
    save_stock(tmp_path, "Electra", None)
    checkpoint = edited(
        tmp_path,
        lambda tensors: {
            **{f"electra.{name}": tensor for name, tensor in tensors.items()},
            "discriminator_predictions.dense.weight": torch.zeros(32, 32),
        },
        architectures=["ElectraForPreTraining"],
    )
    assert model_kind(load_model(checkpoint)) is None


def test_half_precision_is_read_as_fp32(tmp_path: Path) -> None:
    save_stock(tmp_path / "in", "Bert", "text-classification")
    checkpoint = edited(
        tmp_path / "in", lambda ts: {n: t.half() for n, t in ts.items()}, dtype="float16"
    )
    model = load_model(checkpoint)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    save_model(model, tmp_path / "out", tokenizer_from=None)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    save_stock(tmp_path, "Bert", "text-classification")

    def broken(tensors: Tensors) -> Tensors:
        del tensors["classifier.bias"]
        tensors["extra.weight"] = torch.zeros(1)
        tensors["bert.pooler.dense.bias"][3] = float("nan")
        tensors["bert.pooler.dense.weight"] = torch.zeros(16, 32)
        return tensors

    assert faults_of(edited(tmp_path, broken)).splitlines() == [
        f"{tmp_path} cannot be loaded:",
        "  - unexpected tensor extra.weight",
        "  - bert.pooler.weight is (16, 32), config.json says (32, 32)",
        "  - bert.pooler.bias has values that are not finite",
        "  - missing tensor classifier.bias",
    ]


def test_many_faults_are_abridged(tmp_path: Path) -> None:
    save_stock(tmp_path, "Bert", "text-classification")
    lines = faults_of(edited(tmp_path, lambda ts: {"x": ts["classifier.bias"]})).splitlines()
    assert len(lines) == 1 + 12 + 1
    assert lines[-1] == "  - and 30 more"


def test_an_untied_decoder_is_refused_where_it_is_used(tmp_path: Path) -> None:
    encoder = load_model(save_stock(tmp_path, "Bert", "masked-lm")).encoder.state_dict()
    name = "cls.predictions.decoder.weight"
    checkpoint = edited(
        tmp_path, lambda ts: {**ts, name: torch.zeros(64, 32)}, tie_word_embeddings=False
    )
    fault = f"{name} differs from bert.embeddings.word_embeddings.weight, and only tied ones"
    assert f"{fault} (tie_word_embeddings) are handled" in faults_of(checkpoint)
    with pytest.raises(CheckpointError, match=re.escape(fault)):
        load_for_task(checkpoint, "masked-lm")
    classifier = load_for_task(checkpoint, "text-classification", ("a", "b"))
    found = classifier.encoder.state_dict()
    assert all(found[weight].equal(encoder[weight]) for weight in encoder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "gpt2"}, 'is of model type "gpt2"'),
        ({"architectures": ["BertForMultipleChoice"]}, "has a head of another kind"),
        ({"is_decoder": True}, "it is a decoder"),
        ({"position_embedding_type": "relative_key"}, 'position_embedding_type "relative_key"'),
        ({"hidden_act": "sine"}, 'the activation "sine" is unknown'),
        ({"num_attention_heads": 5}, "32 hidden units cannot be split among 5 heads"),
        ({"num_attention_heads": 0}, "32 hidden units cannot be split among 0 heads"),
        ({"pruned_heads": {"7": [0]}}, "pruned_heads names layers beyond the 2"),
        ({"hidden_size": "32 or so"}, "config.json has a bad value"),
    ],
)
def test_settings_that_cannot_be_had_are_named(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_stock(tmp_path, "Bert", "text-classification")
    assert message in faults_of(edited(tmp_path, **settings))


@pytest.mark.parametrize("family", ["Roberta", "XLMRoberta", "Camembert"])
def test_positions_that_count_from_the_padding_need_its_id(family: str, tmp_path: Path) -> None:
    save_stock(tmp_path, family, "text-classification")
    model_type = json.loads((tmp_path / "config.json").read_text())["model_type"]
    said = f"pad_token_id is null, and {model_type} counts positions from it"
    assert said in faults_of(edited(tmp_path, pad_token_id=None))


def test_where_no_word_is_set_aside_for_padding_rows_are_filled_with_0(tmp_path: Path) -> None:
    save_stock(tmp_path, "Bert", "text-classification")
    config = load_model(edited(tmp_path, pad_token_id=None)).config
    assert (config.pad_token_id, config.padding_id) == (None, 0)
    assert load_model(edited(tmp_path, pad_token_id=7)).config.padding_id == 7


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_backbone_gets_a_seeded_head(family: str, kind: str, tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, family, None)
    labels = ("no", "yes", "maybe") if kind.endswith("-classification") else ()
    first, again, other = (load_for_task(checkpoint, kind, labels, seed=s) for s in (3, 3, 4))
    assert model_kind(first) == kind
    if labels:
        assert first.config.id2label == {0: "no", 1: "yes", 2: "maybe"}
        assert first.config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    name = "start_logits" if kind == "question-answering" else "logits"
    outputs = [run(model, **batch(family))[name] for model in (first, again, other)]
    assert outputs[0].equal(outputs[1])
    assert not outputs[0].equal(outputs[2])
    encoder = load_model(checkpoint).encoder
    assert all(
        tensor.equal(encoder.state_dict()[name])
        for name, tensor in first.encoder.state_dict().items()
        if "pooler" not in name
    )


def test_a_new_head_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, "Bert", None)
    state = torch.get_rng_state()
    load_for_task(checkpoint, "text-classification", ("a", "b"))
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("kind", ["text-classification", "token-classification"])
def test_a_known_head_follows_the_order_of_the_labels(kind: str, tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, "Bert", kind)  # b, a, c
    stored = run(load_model(checkpoint), **batch()).logits
    model = load_for_task(checkpoint, kind, ("a", "b", "c"))
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert same(run(model, **batch()).logits, stored[..., [1, 0, 2]])
    kept = load_for_task(checkpoint, kind)
    assert kept.config.id2label == {0: "b", 1: "a", 2: "c"}
    assert same(run(kept, **batch()).logits, stored, 0.0)


def test_labels_without_names_take_those_of_the_task(tmp_path: Path) -> None:
    names = {0: "LABEL_0", 1: "LABEL_1"}
    checkpoint = save_stock(tmp_path, "Bert", "text-classification", id2label=names)
    model = load_for_task(checkpoint, "text-classification", ("bad", "good"))
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert same(run(model, **batch()).logits, run(load_model(checkpoint), **batch()).logits, 0.0)


def test_other_labels_mean_a_new_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = save_stock(tmp_path / "abc", "Bert", "text-classification")
    model = load_for_task(checkpoint, "text-classification", ("a", "b"))
    assert run(model, **batch()).logits.shape == (3, 2)
    assert model.classifier.bias.eq(0).all()
    assert "abc: its head knows other labels, so a new one is made" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["text-regression", "question-answering", "masked-lm"])
def test_heads_without_labels_are_kept(kind: str, tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, "Bert", kind)
    weights = load_model(checkpoint).state_dict()
    kept = load_for_task(checkpoint, kind).state_dict()
    assert all(kept[name].equal(weights[name]) for name in weights)


def test_from_one_kind_to_another_and_out(tmp_path: Path) -> None:
    for family in FAMILIES:
        checkpoint = save_stock(tmp_path / family, family, "text-regression")
        model = load_for_task(checkpoint, "token-classification", ("O", "B"))
        assert (model_kind(model), model.config.problem_type) == ("token-classification", None)
        back = tmp_path / f"{family}-tokens"
        save_model(model, back, tokenizer_from=None)
        again = load_for_task(open_checkpoint(back), "text-classification", ("x", "y"))
        assert (model_kind(again), again.config.id2label) == (
            "text-classification",
            {0: "x", 1: "y"},
        )


def test_a_new_head_needs_labels(tmp_path: Path) -> None:
    checkpoint = save_stock(tmp_path, "Bert", None)
    with pytest.raises(CheckpointError, match="a new one needs labels"):
        load_for_task(checkpoint, "text-classification")


def test_an_encoder_is_had_without_its_head(tmp_path: Path) -> None:
    for family in FAMILIES:
        for kind in (None, "text-regression", "masked-lm"):
            checkpoint = save_stock(tmp_path / f"{family}-{kind}", family, kind)
            whole, encoder = load_model(checkpoint), load_encoder(checkpoint)
            assert model_kind(encoder) is None
            states = [run(m.encoder, **batch(family)).last_hidden_state for m in (whole, encoder)]
            assert torch.equal(*states)
            pooler = whole.config.pooler_activation if kind is None else None
            assert encoder.config.pooler_activation == pooler
            save_model(encoder, tmp_path / "out", tokenizer_from=None)
            assert model_kind(load_model(open_checkpoint(tmp_path / "out"))) is None
