"""The two scores, against the formula computed the slow way."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset

from bertslim.errors import BertslimError
from bertslim.methods.prune_heads.importance import head_importance
from bertslim.model.loading import load_model
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.surgery import remove_heads
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import collate
from bertslim.train.encoding import mask_by_number
from tests.methods.prune_heads.worlds import KEPT, evidence, masked_words, rows, silence
from tests.tiny import save_tiny_bert


def alone(row: dict[str, object]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in collate([row], 0).items()}


def summed_loss(
    model: SlimBertPreTrainedModel, batch: dict[str, torch.Tensor], gates: list[torch.Tensor]
) -> torch.Tensor:
    labelled = (batch["labels"] != -100).sum() if "labels" in batch else 1
    return model(**batch, gates=Gates(heads=gates)).loss * labelled


def importance_by_the_book(
    model: SlimBertPreTrainedModel, data: Dataset, kept: list[torch.Tensor] = KEPT
) -> list[torch.Tensor]:
    """I_h = E_x | dL(x) / d xi_h |, one example after another."""
    totals = [torch.zeros(len(mask)) for mask in kept]
    for row in data:
        gates = [mask.float().requires_grad_() for mask in kept]
        loss = summed_loss(model, alone(row), gates)
        for total, gradient in zip(totals, torch.autograd.grad(loss, gates), strict=True):
            total += gradient.abs()
    # a head that is gone has a gradient, but no importance
    return [total * mask / len(data) for total, mask in zip(totals, kept, strict=True)]


def importance_by_token(model: SlimBertPreTrainedModel, data: Dataset) -> list[torch.Tensor]:
    """The same with a gate for each token: a table that multiplies what the heads say."""
    totals = [torch.zeros(4), torch.zeros(4)]
    for row in data:
        tables = []

        def gated(_: object, inputs: tuple[torch.Tensor], tables=tables) -> torch.Tensor:
            batch, length = inputs[0].shape[:2]
            table = torch.ones(batch, length, 4, 1, requires_grad=True)
            tables.append(table)
            return (inputs[0].view(batch, length, 4, 8) * table).flatten(2)

        layers = model.encoder.layers
        hooks = [layer.attention.output.register_forward_pre_hook(gated) for layer in layers]
        loss = summed_loss(model, alone(row), [torch.ones(4)] * 2)
        for total, gradient in zip(totals, torch.autograd.grad(loss, tables), strict=True):
            total += gradient.abs().sum(dim=(0, 1, 3))
        for hook in hooks:
            hook.remove()
    return [total / len(data) for total in totals]


def assert_same(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    for layer, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(layer.float(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_importance_is_the_formula_of_the_paper(
    model: SlimBertPreTrainedModel, batch_size: int
) -> None:
    found = head_importance(model, KEPT, evidence(batch_size=batch_size))
    assert_same(found, importance_by_the_book(model, rows()))


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_the_other_score_is_that_of_the_papers_code(
    model: SlimBertPreTrainedModel, batch_size: int
) -> None:
    found = head_importance(model, KEPT, evidence(score="token", batch_size=batch_size))
    assert_same(found, importance_by_token(model, rows()))


def test_what_tokens_do_does_not_cancel(model: SlimBertPreTrainedModel) -> None:
    by_example = head_importance(model, KEPT, evidence())
    by_token = head_importance(model, KEPT, evidence(score="token"))
    assert bool((by_token[0] > by_example[0]).all())
    # the last layer of a classifier goes on with one token, of which nothing can cancel
    torch.testing.assert_close(by_token[1], by_example[1])


@pytest.mark.parametrize("score", ["example", "token"])
def test_importance_of_taggers_sums_over_the_labels(tmp_path: Path, score: str) -> None:
    save_tiny_bert(tmp_path / "m", "token-classification")
    tagger = load_model(open_checkpoint(tmp_path / "m"))
    data = rows(lambda ids: [-100, *(i % 2 for i in ids[1:-1]), -100])
    by_the_book = {"example": importance_by_the_book, "token": importance_by_token}[score]
    found = head_importance(tagger, KEPT, evidence(data, score=score))
    assert_same(found, by_the_book(tagger, data))


def test_importance_where_spans_are_asked_for(tmp_path: Path) -> None:
    save_tiny_bert(tmp_path / "m", "question-answering")
    reader = load_model(open_checkpoint(tmp_path / "m"))
    data = rows().remove_columns("labels").map(lambda row: {"input_ids": row["input_ids"][:4]})
    data = data.add_column("start_positions", [0, 1, 2, 3, 0] * 2)
    data = data.add_column("end_positions", [0, 2, 3, 3, 0] * 2)
    expected = importance_by_the_book(reader, data)
    for batch_size in (1, 3):
        found = head_importance(reader, KEPT, evidence(data, batch_size=batch_size))
        assert_same(found, expected)


def test_importance_where_the_labels_are_masked_words(tmp_path: Path) -> None:
    model, examples = masked_words(tmp_path)
    data, masking = examples.encoded, examples.masking
    masked = [mask_by_number(row, masking) for row in data]
    learnt = [row for row in masked if (row["labels"] != -100).any()]
    assert len(learnt) == len(data) - 1
    expected = [layer * len(learnt) / len(data) for layer in importance_by_the_book(model, learnt)]
    for batch_size in (1, 2, 5):
        given = evidence(data, masking=masking, batch_size=batch_size)
        assert_same(head_importance(model, KEPT, given), expected)


def test_what_is_gone_has_no_importance_and_no_say(model: SlimBertPreTrainedModel) -> None:
    kept = [torch.tensor([True, False, True, True]), torch.tensor([False] * 4)]
    found = head_importance(model, kept, evidence())
    assert_same(found, importance_by_the_book(model, rows(), kept))
    assert [layer.count_nonzero().item() for layer in found] == [3, 0]


@pytest.mark.parametrize("score", ["example", "token"])
def test_a_cut_model_is_scored_like_a_masked_one(
    model: SlimBertPreTrainedModel, score: str
) -> None:
    kept = [torch.tensor([True, False, True, True]), torch.tensor([False] * 4)]
    cut = remove_heads(model, {0: [1], 1: range(4)})
    there = [torch.ones(3, dtype=torch.bool), torch.ones(0, dtype=torch.bool)]
    masked = head_importance(model, kept, evidence(score=score))
    found = head_importance(cut, there, evidence(score=score))
    torch.testing.assert_close(found[0], masked[0][kept[0]], rtol=1e-4, atol=1e-7)
    assert found[1].shape == (0,)


def test_the_model_is_left_as_it_was(model: SlimBertPreTrainedModel) -> None:
    model.train()
    model.classifier.bias.requires_grad_(False)
    head_importance(model, KEPT, evidence())
    assert model.training
    wanted = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert wanted == {"classifier.bias"}
    assert all(p.grad is None for p in model.parameters())
    assert not any(layer.attention.output._forward_pre_hooks for layer in model.encoder.layers)


def test_gradients_that_are_no_numbers_are_refused(model: SlimBertPreTrainedModel) -> None:
    with torch.no_grad():
        model.encoder.layers[1].ffn.output.weight.fill_(float("inf"))
    with pytest.raises(BertslimError, match="not all finite"):
        head_importance(model, KEPT, evidence())


def test_a_loss_that_no_head_moves_is_refused(model: SlimBertPreTrainedModel) -> None:
    for layer in range(2):
        for head in range(4):
            silence(model, layer, head)
    with pytest.raises(BertslimError, match="nothing moves the loss"):
        head_importance(model, KEPT, evidence())
