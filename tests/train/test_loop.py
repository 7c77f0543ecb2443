import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bertslim.errors import SettingsError, TrainingError
from bertslim.train.batching import Batch, collate, micro_batches, rows_at
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.optimisation import adamw, clip_gradients, warm_up_and_decay
from bertslim.train.teacher import LiveTeacher
from tests.train.training import (
    assert_close,
    assert_equal,
    classifier,
    sentences,
    settings,
    tagged,
    tagger,
    weights,
)


@dataclass(frozen=True)
class Value:
    value: float


def test_it_learns_what_can_be_learnt() -> None:
    model, report = fit(
        classifier(), sentences(96), labels_objective, settings(epochs=6, learning_rate=5e-3)
    )
    assert report.losses[-1]["task"] < 0.1 < 0.6 < report.losses[0]["task"]
    batch = collate(rows_at(sentences(96), range(96)), 0)
    labels = torch.from_numpy(batch["labels"])
    logits = model(**{name: torch.from_numpy(column) for name, column in batch.items()}).logits
    assert (logits.argmax(1) == labels).float().mean() > 0.98


def test_the_report_counts_everything() -> None:
    data = sentences(20)
    _, report = fit(classifier(), data, labels_objective, settings(epochs=2, batch_size=8))
    assert (report.steps, report.examples) == (6, 40)
    assert report.tokens == 2 * sum(len(ids) for ids in data["input_ids"])
    assert (report.metrics, report.best_epoch) == ((), 2)
    assert [sorted(losses) for losses in report.losses] == [["gradient norm", "task"]] * 2
    assert report.tokens_per_second == pytest.approx(report.tokens / report.seconds)
    assert (report.precision, report.processes) == ("fp32", 1)


def gradient(model: PreTrainedModel, batch: Batch, accumulation: int) -> dict[str, Tensor]:
    for part in micro_batches(batch, accumulation=accumulation):
        loss = model(**{name: torch.from_numpy(column) for name, column in part.batch.items()}).loss
        (loss * part.share).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("accumulation", [2, 4, 16])
@pytest.mark.parametrize(("make", "rows"), [(classifier, sentences), (tagger, tagged)])
def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(
    make: Any, rows: Any, accumulation: int
) -> None:
    batch = collate(rows_at(rows(12), range(12)), 0)
    whole, parts = (gradient(make().eval(), batch, count) for count in (1, accumulation))
    assert_close(parts, whole, atol=1e-6)


@pytest.mark.parametrize("accumulation", [4, 16])
@pytest.mark.parametrize(("make", "rows"), [(classifier, sentences), (tagger, tagged)])
def test_accumulation_changes_nothing_but_rounding(make: Any, rows: Any, accumulation: int) -> None:
    whole, whole_report = fit(make(), rows(40), labels_objective, settings())
    parts, parts_report = fit(
        make(), rows(40), labels_objective, settings(accumulation=accumulation)
    )
    # AdamW divides by the gradient's size, so rounding errors of tiny gradients grow.
    assert_close(weights(parts), weights(whole), atol=2e-5)
    for found, expected in zip(parts_report.losses, whole_report.losses, strict=True):
        assert found == pytest.approx(expected, abs=1e-6, rel=1e-5)


def test_the_best_epoch_is_kept() -> None:
    values, seen = iter([0.3, 0.9, 0.9, 0.1]), []

    def evaluate(model: PreTrainedModel) -> Value:
        assert not model.training
        seen.append(weights(model))
        return Value(next(values))

    model, report = fit(
        classifier(), sentences(16), labels_objective, settings(epochs=4), evaluate=evaluate
    )
    assert (report.metrics, report.best_epoch) == ((0.3, 0.9, 0.9, 0.1), 2)
    assert_equal(weights(model), seen[1])


def test_training_leaves_no_trace_but_the_weights() -> None:
    model = classifier().eval()
    dropouts = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    random = torch.get_rng_state()
    fit(model, sentences(8), labels_objective, settings(dropout=0.5, freeze_embeddings=True))
    assert not model.training
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == dropouts
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_frozen_embeddings_stay_and_the_rest_moves() -> None:
    model = classifier()
    before = weights(model)
    fit(model, sentences(16), labels_objective, settings(freeze_embeddings=True))
    moved = {name for name, tensor in weights(model).items() if not tensor.equal(before[name])}
    assert before.keys() - moved == {"bert.embeddings.word_embeddings.weight"}


def test_dropout_is_what_the_settings_say() -> None:
    plain, _ = fit(classifier(), sentences(16), labels_objective, settings())
    same, _ = fit(classifier(), sentences(16), labels_objective, settings())
    dropped, _ = fit(classifier(), sentences(16), labels_objective, settings(dropout=0.3))
    assert_equal(weights(same), weights(plain))
    assert not weights(dropped)["classifier.weight"].equal(weights(plain)["classifier.weight"])


def test_batches_are_prepared_with_a_generator_per_step() -> None:
    drawn: list[float] = []

    def prepare(batch: Batch, random: np.random.Generator) -> Batch:
        drawn.append(float(random.random()))
        return {**batch, "labels": np.zeros_like(batch["labels"])}

    run = settings(epochs=3, learning_rate=1e-2)
    _, report = fit(classifier(), sentences(32), labels_objective, run, prepare=prepare)
    assert len(set(drawn)) == report.steps == 12
    assert report.losses[-1]["task"] < 0.05


def test_the_teacher_is_asked_without_gradient_and_without_labels() -> None:
    teacher = classifier(seed=7).train()
    frozen = weights(teacher)

    def imitate(student: Any, taught: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert taught.loss is None
        assert not taught.logits.requires_grad
        assert taught.logits.shape == (len(batch["input_ids"]), 2)
        return {"logits": (student.logits - taught.logits).square().mean()}

    run = settings(epochs=4, learning_rate=5e-3)
    _, report = fit(classifier(), sentences(32), imitate, run, teacher=LiveTeacher(teacher))
    assert report.losses[-1]["logits"] < 0.5 * report.losses[0]["logits"]
    assert not teacher.training
    assert_equal(weights(teacher), frozen)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverging_loss_names_step_and_cure(value: float) -> None:
    def explode(student: Any, _teacher: Any, _batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        explode_at.append(1)
        return {"task": student.loss * (value if len(explode_at) == 6 else 1.0)}

    explode_at: list[int] = []
    with pytest.raises(TrainingError, match=f"task is {value} at step 6, epoch 2") as error:
        fit(classifier(), sentences(32), explode, settings())
    assert "lower --learning-rate" in error.value.hint


def test_no_examples_and_impossible_settings_are_explained() -> None:
    with pytest.raises(TrainingError, match="no example to train on"):
        fit(classifier(), sentences(4).select([]), labels_objective, settings())
    with pytest.raises(SettingsError) as error:
        settings(epochs=0, warmup=1.5, dropout=1.0, learning_rate=math.nan)
    assert str(error.value).splitlines() == [
        "training cannot start:",
        "  - --epochs must be at least 1",
        "  - --learning-rate must be above 0",
        "  - --warmup must lie between 0 and 1",
        "  - --dropout must be at least 0 and below 1",
    ]


def test_the_rate_rises_and_falls_in_lines() -> None:
    factors = [warm_up_and_decay(step, 8, 0.25) for step in range(8)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [warm_up_and_decay(step, 2, 0.0) for step in range(2)] == [1.0, 0.5]
    assert warm_up_and_decay(3, 4, 1.0) == 4 / 5


def test_vectors_do_not_decay() -> None:
    model = classifier()
    decaying, plain = adamw(model, 1e-3, 0.1).param_groups
    assert (decaying["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    names = {parameter: name for name, parameter in model.named_parameters()}
    vectors = {names[parameter] for parameter in plain["params"]}
    assert vectors == {name for name in names.values() if "norm" in name or name.endswith("bias")}
    assert len(decaying["params"]) + len(vectors) == len(names)


def test_clipping_bounds_the_common_norm_and_reports_the_old_one() -> None:
    layer = nn.Linear(2, 1)
    optimizer = adamw(layer, 1e-3, 0.0)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert float(clip_gradients(optimizer, 10.0)) == 5.0
    assert layer.bias.grad.tolist() == [4.0]
    assert float(clip_gradients(optimizer, 1.0)) == 5.0
    assert layer.weight.grad.tolist()[0] == pytest.approx([0.6, 0.0], abs=1e-5)
    assert layer.bias.grad.tolist() == pytest.approx([0.8], abs=1e-5)
