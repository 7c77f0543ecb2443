from pathlib import Path

import pytest
import torch
from datasets import Dataset

from bertslim.methods.prune_heads.importance import head_importance
from bertslim.methods.prune_heads.prune import PruneHeads, prune_heads
from bertslim.methods.prune_heads.ranking import least_important, normalised
from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import collate
from bertslim.train.encoding import mask_by_number
from bertslim.train.examples import Examples, read_examples
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import lines_task

KEPT = [torch.ones(4, dtype=torch.bool)] * 2


def rows(labels: object = None) -> Dataset:
    """Ten rows of five lengths; a class each, or what `labels` makes of the row's number."""
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 30, (4 + n % 5,), generator=generator).tolist() for n in range(10)]
    given = [n % 2 for n in range(10)] if labels is None else [labels(i) for i in ids]
    return Dataset.from_dict({"input_ids": ids, "labels": given})


@pytest.fixture
def model(tiny: Path) -> SlimBertPreTrainedModel:
    return load_model(open_checkpoint(tiny))


def silence(model: SlimBertPreTrainedModel, layer: int, head: int) -> None:
    """Make a head say nothing: its columns of the output projection become 0."""
    with torch.no_grad():
        model.encoder.layers[layer].attention.output.weight[:, 8 * head : 8 * head + 8] = 0


def importance_by_the_book(model: SlimBertPreTrainedModel, data: Dataset) -> list[torch.Tensor]:
    """I_h = E_x | dL(x) / d xi_h |, one example after another, xi shared by the whole batch."""
    totals = [torch.zeros(4), torch.zeros(4)]
    for row in data:
        batch = {n: torch.from_numpy(a) for n, a in collate([row], 0).items()}
        gates = [torch.ones(4, requires_grad=True) for _ in range(2)]
        loss = model(**batch, gates=Gates(heads=gates)).loss
        loss = loss * (batch["labels"] != -100).sum()
        for total, gradient in zip(totals, torch.autograd.grad(loss, gates), strict=True):
            total += gradient.abs()
    return [total / len(data) for total in totals]


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_importance_is_the_formula_of_the_paper(
    model: SlimBertPreTrainedModel, batch_size: int
) -> None:
    expected = importance_by_the_book(model, rows())
    found = head_importance(model, KEPT, rows(), batch_size)
    for layer, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(layer.float(), wanted, rtol=1e-4, atol=1e-7)


def test_importance_of_taggers_sums_over_the_tokens(tmp_path: Path) -> None:
    save_tiny_bert(tmp_path / "m", "token-classification")
    tagger = load_model(open_checkpoint(tmp_path / "m"))
    data = rows(lambda ids: [-100, *(i % 2 for i in ids[1:-1]), -100])
    expected = importance_by_the_book(tagger, data)
    for layer, wanted in zip(head_importance(tagger, KEPT, data, 4), expected, strict=True):
        torch.testing.assert_close(layer.float(), wanted, rtol=1e-4, atol=1e-7)


def masked_words(folder: Path) -> tuple[SlimBertPreTrainedModel, Examples]:
    """A masked language model and chunks of text, one without any word that can be masked."""
    chunks = [
        "a the film was good",
        "it is very",
        "bob",
        "\u4e00 \u4e00 \u4e00 \u4e00 \u4e00",
        "end",
    ]
    task = lines_task(folder, "\n".join(chunks) + "\n")
    model = load_model(open_checkpoint(save_tiny_bert(folder / "m", "masked-lm")))
    return model, read_examples(task, "train", model, tiny_tokenizer())


def test_importance_where_the_labels_are_masked_words(tmp_path: Path) -> None:
    model, examples = masked_words(tmp_path)
    data, masking = examples.encoded, examples.masking
    masked = [mask_by_number(row, masking) for row in data]
    learnt = [row for row in masked if (row["labels"] != -100).any()]
    assert len(learnt) == len(data) - 1
    expected = importance_by_the_book(model, learnt)
    for batch_size in (1, 2, 5):
        found = head_importance(model, KEPT, data, batch_size, masking)
        for layer, wanted in zip(found, expected, strict=True):
            wanted = wanted * len(learnt) / len(data)
            torch.testing.assert_close(layer.float(), wanted, rtol=1e-4, atol=1e-7)


def test_heads_of_masked_language_models_can_go(tmp_path: Path) -> None:
    model, examples = masked_words(tmp_path)
    silence(model, 0, 1)
    pruned, report = prune_heads(model, PruneHeads(0.125, 1, 2), examples.encoded, examples.masking)
    assert report.removed == {0: [1]}
    ids = torch.randint(5, 30, (3, 9))
    torch.testing.assert_close(pruned(ids).logits, model(ids).logits, atol=1e-5, rtol=0)


def test_the_model_is_left_as_it_was(model: SlimBertPreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prune_heads(model, PruneHeads(0.5, 1, 4), rows())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_silent_heads_go_first_and_nothing_changes(model: SlimBertPreTrainedModel) -> None:
    silence(model, 0, 2)
    silence(model, 1, 3)
    ids = torch.randint(5, 30, (3, 9))
    pruned, report = prune_heads(model, PruneHeads(0.25, 1, 4), rows())
    assert report.removed == {0: [2], 1: [3]}
    assert [width.heads for width in layer_widths(pruned.config)] == [3, 3]
    torch.testing.assert_close(pruned(ids).logits, model(ids).logits, atol=1e-6, rtol=0)


def test_heads_are_scored_anew_without_those_that_went(model: SlimBertPreTrainedModel) -> None:
    """Removing all at once, by one ranking, is not what the iterative order does."""
    _, report = prune_heads(model, PruneHeads(0.75, 1, 4), rows())
    assert len(report.order) == 6
    kept = [torch.ones(4, dtype=torch.bool) for _ in range(2)]
    for number, (layer, head) in enumerate(report.order):
        scores = normalised(head_importance(model, kept, rows(), 10), kept)
        assert next(least_important(scores, kept, 1, 1)) == (layer, head), number
        kept[layer][head] = False


def test_every_layer_keeps_its_minimum(model: SlimBertPreTrainedModel) -> None:
    pruned, _ = prune_heads(model, PruneHeads(0.5, 2, 4), rows())
    assert [width.heads for width in layer_widths(pruned.config)] == [2, 2]


def test_a_layer_may_lose_its_attention_if_asked(model: SlimBertPreTrainedModel) -> None:
    for head in range(4):
        silence(model, 1, head)
    ids = torch.randint(5, 30, (3, 9))
    pruned, report = prune_heads(model, PruneHeads(0.5, 0, 4), rows())
    assert report.removed == {1: [0, 1, 2, 3]}
    torch.testing.assert_close(pruned(ids).logits, model(ids).logits, atol=1e-6, rtol=0)


def test_scores_are_normalised_over_the_heads_that_are_there() -> None:
    scores = [torch.tensor([3.0, 4.0, 9.0]), torch.tensor([0.0, 0.0])]
    kept = [torch.tensor([True, True, False]), torch.tensor([True, True])]
    first, second = normalised(scores, kept)
    assert first.tolist() == pytest.approx([0.6, 0.8, 0.0])
    assert second.tolist() == [0.0, 0.0]
