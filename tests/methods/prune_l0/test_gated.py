import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bertslim.errors import TrainingError
from bertslim.methods.prune_l0.gated import NEARLY_OPEN, GatedModel, priced_objective
from bertslim.methods.prune_l0.hard_concrete import LOG_ALPHA_LIMIT, open_probability, settled
from bertslim.methods.prune_l0.price import Constraint, Penalty
from bertslim.methods.prune_l0.prune import gated_model, optimizer
from bertslim.methods.prune_l0.settings import KINDS
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.train.batching import Batch
from bertslim.train.examples import Examples
from bertslim.train.loop import fit
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from tests.methods.prune_l0.worlds import asked, world
from tests.train.training import assert_equal, settings, weights

World = tuple[SlimBertPreTrainedModel, Examples]


@pytest.fixture
def classified(tmp_path: Path) -> World:
    return world(tmp_path)


def rows() -> Tensor:
    return torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(0))


def test_gates_start_open_and_are_drawn_anew_for_every_pass(classified: World) -> None:
    model, _ = classified
    gated = GatedModel(model, KINDS, Penalty(1.0))
    assert gated.counts == {"heads": [4, 4], "ffn": [64, 64], "hidden": [32]}
    with torch.no_grad():
        plain = model.eval()(rows()).logits
        assert gated.eval()(input_ids=rows()).logits.equal(model(rows(), gates=ones()).logits)
        assert torch.allclose(gated(input_ids=rows()).logits, plain, atol=1e-5)
        drawing(gated)
        first, second = (gated(input_ids=rows()).logits for _ in range(2))
    assert not first.equal(second)
    cost = gated(input_ids=rows()).price
    opened = float(open_probability(torch.tensor(NEARLY_OPEN)))
    assert float(cost.detach()) == pytest.approx(3 * opened)


def drawing(gated: GatedModel) -> GatedModel:
    """Gates as in training, and no dropout."""
    gated.train()
    gated.gated.eval()
    return gated


def ones() -> Gates:
    return Gates([torch.ones(4)] * 2, [torch.ones(64)] * 2, torch.ones(32))


def test_one_sample_is_shared_by_the_examples_of_a_pass(classified: World) -> None:
    model, _ = classified
    gated = drawing(GatedModel(model, KINDS, Penalty(1.0)))
    with torch.no_grad():
        for layer in gated.log_alpha:
            layer.zero_()
        twice = gated(input_ids=rows()[:1].expand(2, -1)).logits
    assert torch.allclose(twice[0], twice[1], atol=1e-6)


def test_settled_gates_are_used_when_the_model_is_asked(classified: World) -> None:
    model, _ = classified
    gated = GatedModel(model, ("heads",), Penalty(1.0)).eval()
    with torch.no_grad():
        for number, layer in enumerate(gated.log_alpha):
            layer.copy_(torch.tensor([-3.0, 0.5, 1.0, 4.0]) + number)
        gates = Gates(heads=[settled(layer) for layer in gated.log_alpha])
        expected = model(rows(), gates=gates).logits
        assert torch.allclose(gated(input_ids=rows()).logits, expected, atol=1e-6)


def learn(
    classified: World,
    training: TrainSettings,
    folder: Path | None = None,
    stop_at: int = 0,
    **changes: object,
) -> tuple[GatedModel, TrainReport]:
    model, examples = classified
    asked_for = asked(**changes)
    steps = iter(range(1, 100))

    def interrupt(batch: Batch, _random: np.random.Generator) -> Batch:
        if next(steps) == stop_at:
            signal.raise_signal(signal.SIGINT)
        return batch

    return fit(
        gated_model(model, asked_for, steps=6),
        examples.encoded,
        priced_objective,
        training,
        optimize=partial(optimizer, settings=asked_for, training=training),
        prepare=interrupt,
        resume=ResumeFolder(folder, 1e9) if folder else None,
    )


@pytest.mark.parametrize("train", ["gates", "all"])
def test_a_resumed_search_equals_an_uninterrupted_one(
    classified: World, train: str, tmp_path: Path
) -> None:
    training = settings(accumulation=2)
    whole, report = learn(classified, training, train=train)
    with pytest.raises(KeyboardInterrupt):
        learn(classified, training, tmp_path / "state", stop_at=4, train=train)
    resumed, resumed_report = learn(classified, training, tmp_path / "state", train=train)
    assert_equal(weights(resumed), weights(whole))
    assert int(resumed.steps) == int(whole.steps) == report.steps == 6
    assert resumed_report.losses == report.losses


def test_what_learns_and_what_does_not(classified: World) -> None:
    before = weights(classified[0])
    for train in ("gates", "all"):
        gated, report = learn(classified, settings(), train=train)
        after = weights(gated.gated)
        moved = {name for name in before if not after[name].equal(before[name])}
        # rows of the pooler and the head, and of words that no text has, may stay
        assert len(moved) == (0 if train == "gates" else len(before))
        assert all(not layer.eq(NEARLY_OPEN).all() for layer in gated.log_alpha)
        assert isinstance(gated.price, Constraint)
        # too little went at first, so the multipliers climbed down and up
        first, second = gated.price.multipliers.tolist()
        assert first < 0 < second
        assert report.losses[0].keys() == {"task", "gates", "gradient norm"}
    assert_equal(weights(classified[0]), before)


def test_gates_stay_within_the_limit(classified: World) -> None:
    gated, _ = learn(classified, settings(epochs=4), gate_learning_rate=50.0)
    furthest = max(float(layer.detach().abs().max()) for layer in gated.log_alpha)
    assert furthest == pytest.approx(LOG_ALPHA_LIMIT)


def test_rates_are_the_groups_own(classified: World) -> None:
    model, _ = classified
    wanted, training = asked(train="all"), settings(learning_rate=1e-3, weight_decay=0.2)
    groups = optimizer(gated_model(model, wanted, steps=100), wanted, training).param_groups
    told = [(g["initial_lr"], g["weight_decay"], g["maximize"], g["flag"]) for g in groups]
    assert told == [
        (1e-3, 0.2, False, "--learning-rate"),
        (1e-3, 0.0, False, "--learning-rate"),
        (0.3, 0.0, False, "--gate-learning-rate"),
        (0.25, 0.0, True, "--gate-learning-rate"),
    ]
    frozen = asked(penalty=1.0, target=None)
    groups = optimizer(gated_model(model, frozen, steps=100), frozen, training).param_groups
    assert [(g["initial_lr"], g["flag"]) for g in groups] == [(0.3, "--gate-learning-rate")]


def test_gates_that_diverge_name_their_own_rate(classified: World) -> None:
    model, _ = classified
    with torch.no_grad():
        model.encoder.layers[0].ffn.output.weight[0, 0] = float("inf")
    with pytest.raises(TrainingError, match="training diverged: task is nan at step 1") as error:
        learn((model, classified[1]), settings())
    assert error.value.hint.startswith("lower --gate-learning-rate, raise --warmup")
