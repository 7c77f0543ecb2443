"""The masked-LM head in training: only what has a label goes through the vocabulary."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertForMaskedLM

from bertslim.model.loading import load_for_task, load_model, save_model
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from tests.model.zoo import FAMILIES, batch, run, save_stock


def asked_for(count: int) -> Tensor:
    """Labels (3, 12) of the first `count` words of each row."""
    return torch.where(torch.arange(12) < count, batch()["input_ids"], -100)


def gradients(model: SlimBertPreTrainedModel, loss: Tensor) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_all_logits(family: str, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "m", family, "masked-lm"))
    inputs, labels = batch(family), asked_for(3)
    taught = model(**inputs, labels=labels)
    whole = functional.cross_entropy(model(**inputs).logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(taught.loss, whole)
    for found, expected in zip(gradients(model, taught.loss), gradients(model, whole), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_words_without_a_label_never_meet_the_vocabulary(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "m", "Bert", "masked-lm"))
    shapes: list[tuple[int, ...]] = []
    model.mlm.register_forward_hook(lambda _module, _args, logits: shapes.append(logits.shape))
    assert run(model, **batch(), labels=asked_for(2)).logits is None
    assert run(model, **batch()).logits.shape == (3, 12, 64)
    assert shapes == [(6, 64), (3, 12, 64)]


def test_logits_can_be_had_where_they_are_wanted(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "m", "Bert", "masked-lm"))
    labels = asked_for(2)
    wanted = labels != -100
    wanted[1, 7] = True
    whole = run(model, **batch())
    some = run(model, **batch(), logits_at=wanted)
    torch.testing.assert_close(some.logits, whole.logits[wanted])
    assert some.loss is None
    both = run(model, **batch(), labels=labels, logits_at=wanted)
    assert torch.equal(both.logits, some.logits)
    torch.testing.assert_close(both.loss, run(model, **batch(), labels=labels).loss)
    none = run(model, **batch(), logits_at=torch.zeros_like(wanted))
    assert none.logits.shape == (0, 64)


def test_a_backbone_gets_a_head_whose_decoder_is_its_table(tmp_path: Path) -> None:
    backbone = save_stock(tmp_path / "m", "Bert", None)
    model = load_for_task(backbone, "masked-lm", seed=3)
    assert run(model, **batch()).logits.shape == (3, 12, 64)
    assert not torch.equal(
        model.mlm.dense.weight, load_for_task(backbone, "masked-lm").mlm.dense.weight
    )
    save_model(model, tmp_path / "out", tokenizer_from=None)
    theirs = BertForMaskedLM.from_pretrained(tmp_path / "out").eval()
    table = theirs.bert.embeddings.word_embeddings.weight
    assert theirs.cls.predictions.decoder.weight is table
    torch.testing.assert_close(run(theirs, **batch()).logits, run(model, **batch()).logits)


def test_gates_states_and_scores_go_with_labels(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path / "m", "Bert", "masked-lm"))
    more = {
        "gates": Gates(heads=[torch.zeros(4), torch.ones(4)]),
        "output_hidden_states": True,
        "output_attention_scores": True,
    }
    taught, plain = (
        run(model, **batch(), **labels, **more) for labels in ({"labels": asked_for(2)}, {})
    )
    for name in ("hidden_states", "attention_scores"):
        for found, expected in zip(taught[name], plain[name], strict=True):
            assert torch.equal(found, expected)
