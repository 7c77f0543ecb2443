from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_l0.gates import gate_counts
from bertslim.methods.prune_l0.price import RISE, Constraint, Penalty
from bertslim.methods.prune_l0.settings import KINDS, Kind, Measure, Target
from bertslim.methods.prune_l0.sparsity import expected_sparsity, full_size, sparsity
from bertslim.model.folding import without_closed
from bertslim.model.loading import load_model
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.shapes import parameter_counts
from tests.model.test_surgery import shared
from tests.model.zoo import save_stock
from tests.model.zoo import uneven as uneven_bert

Masks = dict[Kind, list[Tensor]]


def drawn(model: SlimBertPreTrainedModel, seed: int = 0) -> Masks:
    generator = torch.Generator().manual_seed(seed)
    counts = gate_counts(model.config, KINDS)
    return {k: [torch.rand(n, generator=generator) > 0.4 for n in ns] for k, ns in counts.items()}


def as_numbers(masks: Masks) -> Masks:
    return {kind: [mask.float() for mask in layers] for kind, layers in masks.items()}


@pytest.mark.parametrize("of", ["parameters", "flops"])
@pytest.mark.parametrize("kind", ["text-classification", "token-classification"])
def test_certain_gates_are_expected_to_leave_what_they_leave(
    kind: str, of: Measure, tmp_path: Path
) -> None:
    model = load_model(save_stock(tmp_path, "Electra", kind))
    masks = drawn(model, seed=1)
    numbers = as_numbers(masks)
    realised = sparsity(of, model.config, masks)
    assert float(expected_sparsity(of, model.config, numbers)) == pytest.approx(realised, abs=1e-6)
    gates = Gates(numbers["heads"], numbers["ffn"], numbers["hidden"][0])
    small = without_closed(model, gates)
    if of == "parameters":
        left = parameter_counts(small).encoder / parameter_counts(model).encoder
        assert realised == pytest.approx(1 - left, abs=1e-12)
    assert full_size(of, small.config) / full_size(of, model.config) == pytest.approx(1 - realised)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_shared_keys_are_counted_as_they_are_left(kv_heads: int) -> None:
    model = shared(kv_heads)
    masks = drawn(model, seed=2)
    numbers = as_numbers(masks)
    small = without_closed(model, Gates(numbers["heads"], numbers["ffn"], numbers["hidden"][0]))
    left = parameter_counts(small).encoder / parameter_counts(model).encoder
    assert sparsity("parameters", model.config, masks) == pytest.approx(1 - left, abs=1e-12)


def test_layers_without_heads_cost_nothing(tmp_path: Path) -> None:
    model = uneven_bert(tmp_path)
    whole = {k: [torch.ones(n) for n in ns] for k, ns in gate_counts(model.config, KINDS).items()}
    for of in ("parameters", "flops"):
        assert float(expected_sparsity(of, model.config, whole)) == pytest.approx(0, abs=1e-6)


def test_expected_sizes_multiply_as_independent_gates_do(tmp_path: Path) -> None:
    """The mean over many draws is the expectation."""
    model = load_model(save_stock(tmp_path, "Bert", "text-classification"))
    counts = gate_counts(model.config, KINDS)
    even = {kind: [torch.full((n,), 0.6) for n in ns] for kind, ns in counts.items()}
    draws = [sparsity("parameters", model.config, drawn(model, seed)) for seed in range(400)]
    expected = float(expected_sparsity("parameters", model.config, even))
    assert sum(draws) / len(draws) == pytest.approx(expected, abs=0.01)


def test_the_penalty_is_a_mean_for_each_kind() -> None:
    opened: Masks = {
        "heads": [torch.tensor([1.0, 0.5]), torch.tensor([0.3])],
        "ffn": [torch.full((40,), 0.25), torch.tensor([])],
    }
    cost = Penalty(0.73)(opened, torch.tensor(0))
    assert float(cost) == pytest.approx(0.73 * (1.8 / 3 + 0.25))


def test_the_target_rises_and_the_multipliers_pull_towards_it(tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, "Bert", "text-classification"))
    constraint = Constraint(Target(0.4, "parameters"), model.config, steps=100)
    locations = torch.zeros(4, requires_grad=True)
    opened = {"heads": [torch.sigmoid(locations), torch.ones(4)]}
    with torch.no_grad():
        constraint.multipliers.copy_(torch.tensor([1.0, 0.0]))
    s = float(expected_sparsity("parameters", model.config, opened).detach())
    rising = RISE * 100
    for step, t in ((0, 0.4 / rising), (34, 0.4 * 35 / rising), (69, 0.4), (99, 0.4)):
        assert float(constraint(opened, torch.tensor(step)).detach()) == pytest.approx(
            s - t, abs=1e-6
        )
    with torch.no_grad():
        constraint.multipliers.copy_(torch.tensor([0.0, 2.0]))
    cost = constraint(opened, torch.tensor(99))
    assert float(cost.detach()) == pytest.approx(2 * (s - 0.4) ** 2, abs=1e-6)
    cost.backward()
    # too little is gone: descent closes gates, and ascent makes the multipliers press harder
    assert s < 0.4
    assert locations.grad is not None
    assert bool((locations.grad > 0).all())
    assert constraint.multipliers.grad is not None
    assert constraint.multipliers.grad.tolist() == pytest.approx([s - 0.4, (s - 0.4) ** 2])
    assert constraint.rate == pytest.approx(5 * 0.4 / 10)
