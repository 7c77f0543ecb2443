"""What is removed, from models whose heads are known to matter or not."""

from pathlib import Path

import pytest
import torch

from bertslim.errors import QualityError
from bertslim.methods.prune_heads.drop import Bound
from bertslim.methods.prune_heads.importance import head_importance
from bertslim.methods.prune_heads.prune import PruneHeads, prune_heads, scored_heads
from bertslim.methods.prune_heads.ranking import least_important, normalised
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.examples import selection_score
from tests.methods.prune_heads.worlds import KEPT, evidence, masked_words, sentences, silence


def widths(model: SlimBertPreTrainedModel) -> list[int]:
    return [width.heads for width in layer_widths(model.config)]


def same_outputs(one: SlimBertPreTrainedModel, other: SlimBertPreTrainedModel) -> None:
    ids = torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one(ids).logits, other(ids).logits, atol=1e-5, rtol=0)


def test_heads_of_masked_language_models_can_go(tmp_path: Path) -> None:
    model, examples = masked_words(tmp_path)
    silence(model, 0, 1)
    given = evidence(examples.encoded, masking=examples.masking)
    pruned, report = prune_heads(model, PruneHeads(1, 1, "iterative"), given)
    assert report.removed == {0: [1]}
    same_outputs(pruned, model)


def test_the_model_is_left_as_it_was(model: SlimBertPreTrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prune_heads(model, PruneHeads(0.5, 1, "iterative"), evidence())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize("order", ["iterative", "once"])
@pytest.mark.parametrize("score", ["example", "token"])
@pytest.mark.parametrize("remove", [0.25, 2])
def test_silent_heads_go_first_and_nothing_changes(
    model: SlimBertPreTrainedModel, order: str, score: str, remove: float
) -> None:
    silence(model, 0, 2)
    silence(model, 1, 3)
    pruned, report = prune_heads(model, PruneHeads(remove, 1, order), evidence(score=score))
    assert report.removed == {0: [2], 1: [3]}
    assert widths(pruned) == [3, 3]
    same_outputs(pruned, model)


def test_heads_are_scored_anew_without_those_that_went(model: SlimBertPreTrainedModel) -> None:
    """Of eight heads a tenth is one head."""
    _, report = prune_heads(model, PruneHeads(0.75, 1, "iterative"), evidence())
    assert len(report.order) == 6
    kept = [mask.clone() for mask in KEPT]
    for number, (layer, head) in enumerate(report.order):
        scores = normalised(head_importance(model, kept, evidence()), kept)
        assert next(least_important(scores, kept, 1, 1)) == (layer, head), number
        kept[layer][head] = False


def test_ranked_once_heads_go_by_the_first_scores(model: SlimBertPreTrainedModel) -> None:
    _, report = prune_heads(model, PruneHeads(5, 0, "once"), evidence())
    scores = {(n, h): x for n, row in enumerate(report.scores) for h, x in enumerate(row)}
    assert list(report.order) == sorted(scores, key=scores.__getitem__)[:5]
    assert report.scores == scored_heads(model, evidence(), {}).scores


def test_every_layer_keeps_its_minimum(model: SlimBertPreTrainedModel) -> None:
    pruned, _ = prune_heads(model, PruneHeads(4, 2, "iterative"), evidence())
    assert widths(pruned) == [2, 2]


def test_a_layer_may_lose_its_attention_if_asked(model: SlimBertPreTrainedModel) -> None:
    for head in range(4):
        silence(model, 1, head)
    pruned, report = prune_heads(model, PruneHeads(0.5, 0, "iterative"), evidence())
    assert report.removed == {1: [0, 1, 2, 3]}
    same_outputs(pruned, model)


def test_what_was_pruned_is_pruned_again(model: SlimBertPreTrainedModel) -> None:
    """By the numbers that heads have then; two steps by one ranking each are one iterative walk."""
    at_once, whole = prune_heads(model, PruneHeads(5, 0, "iterative"), evidence())
    smaller = model
    for _ in range(5):
        smaller, report = prune_heads(smaller, PruneHeads(1, 0, "once"), evidence())
        assert len(report.order) == 1
    assert widths(smaller) == widths(at_once)
    assert len(whole.order) == 5
    same_outputs(smaller, at_once)


def test_as_many_heads_go_as_a_bound_allows(
    model: SlimBertPreTrainedModel, sentence_task: Path
) -> None:
    tuning = sentences(model, sentence_task)
    silence(model, 0, 2)
    silence(model, 1, 3)
    settings = PruneHeads(Bound(0.0, tuning), 1, "iterative")
    pruned, report = prune_heads(model, settings, evidence())
    assert len(report.order) >= 2
    held = report.held
    assert (held.max_drop, held.rows) == (0.0, 48)
    assert held.before == selection_score(model, tuning).value <= held.after
    assert held.after == selection_score(pruned, tuning).value == held.tried[len(report.order)]


def test_a_bound_that_no_head_satisfies(
    model: SlimBertPreTrainedModel, sentence_task: Path
) -> None:
    tuning = sentences(model, sentence_task)
    settings = PruneHeads(Bound(-2.0, tuning), 1, "iterative")
    with pytest.raises(QualityError, match="already without the least important head"):
        prune_heads(model, settings, evidence())


def test_what_is_known_is_not_computed_again(
    model: SlimBertPreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = {}
    _, first = prune_heads(model, PruneHeads(0.5, 1, "iterative"), evidence(), findings)
    monkeypatch.setattr(type(model), "forward", lambda *_, **__: pytest.fail("computed again"))
    _, again = prune_heads(model, PruneHeads(0.5, 1, "iterative"), evidence(), findings)
    assert again == first
