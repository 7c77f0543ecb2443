import torch
from torch import nn

from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.optimisation import (
    Group,
    adamw,
    grouped_adamw,
    rate_flags,
    scale_learning_rates,
    weight_groups,
)
from tests.train.training import assert_equal, classifier, sentences, settings, weights


def test_groups_move_by_rates_of_their_own_and_may_climb() -> None:
    down, slow, up = (nn.Parameter(torch.tensor([1.0])) for _ in range(3))
    optimizer = grouped_adamw(
        [Group([down], 0.5), Group([slow], 0.125, flag="--slow"), Group([up], 0.25, ascends=True)]
    )
    for factor in (1.0, 0.5):
        scale_learning_rates(optimizer, factor)
        for parameter in (down, slow, up):
            parameter.grad = torch.tensor([3.0])
        optimizer.step()
    # of a gradient that does not change AdamW takes the sign
    moved = torch.stack([down.detach(), slow.detach(), up.detach()]).flatten() - 1
    assert torch.allclose(moved, torch.tensor([-0.75, -0.1875, 0.375]), atol=1e-6)
    assert rate_flags(optimizer) == "--learning-rate and --slow"


def test_an_optimizer_of_ones_own_over_the_usual_groups_is_the_usual_one() -> None:
    run = settings(dropout=0.1)
    plain, report = fit(classifier(), sentences(32), labels_objective, run)
    own, own_report = fit(
        classifier(),
        sentences(32),
        labels_objective,
        settings(dropout=0.1, learning_rate=77.0),
        optimize=lambda model: grouped_adamw(weight_groups(model, 1e-3, 0.01)),
    )
    assert_equal(weights(own), weights(plain))
    assert own_report.losses == report.losses


def test_frozen_weights_are_in_no_group() -> None:
    model = classifier()
    model.requires_grad_(False)
    model.classifier.requires_grad_(True)
    matrices, vectors = adamw(model, 1e-3, 0.1).param_groups
    assert [list(p.shape) for p in matrices["params"] + vectors["params"]] == [[2, 32], [2]]
