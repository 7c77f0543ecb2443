import pytest
import torch

from bertslim.methods.theseus.fitting import fit_kv_heads, fitted
from bertslim.methods.theseus.likeness import grouped, like_heads_together, likeness
from bertslim.methods.theseus.moments import Moments, input_moments
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.sharing import align_heads, merge_kv_heads
from bertslim.train.examples import Examples
from bertslim.train.task import load_task
from tests.methods.theseus.worlds import examples, predecessor
from tests.model.test_sharing import rotations, with_equal_keys
from tests.model.zoo import run, same

World = tuple[SlimBertPreTrainedModel, Examples]


@pytest.fixture(scope="module")
def world(tmp_path_factory, sentence_task) -> World:
    folder = tmp_path_factory.mktemp("world")
    model = predecessor(folder / "m", num_hidden_layers=2)
    return model, examples(load_task(sentence_task), model, 96)


def ids() -> torch.Tensor:
    return torch.randint(5, 30, (8, 12), generator=torch.Generator().manual_seed(0))


def distance(model: SlimBertPreTrainedModel, other: SlimBertPreTrainedModel) -> float:
    states = (
        run(m, input_ids=ids(), output_hidden_states=True).hidden_states[-1] for m in (model, other)
    )
    return float((next(states) - next(states)).square().mean())


def test_moments_are_those_of_the_tokens_without_padding(world: World) -> None:
    model, rows = world
    states = [
        run(model, input_ids=torch.tensor([row["input_ids"]]), output_hidden_states=True)
        for row in rows.encoded
    ]
    for number, found in enumerate(input_moments(model, rows)):
        x = torch.cat([outputs.hidden_states[number][0] for outputs in states]).double()
        torch.testing.assert_close(found.mean, x.mean(0), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.covariance, x.T.cov(correction=0), atol=1e-5, rtol=0)
        root, inverse = found.roots()
        torch.testing.assert_close(root @ root, found.covariance, atol=1e-6, rtol=0)
        unused = torch.linalg.eigvalsh(found.covariance) < 1e-8
        assert torch.trace(root @ inverse) == pytest.approx(32, abs=1e-6), unused


def test_the_closed_form_is_the_least() -> None:
    """No other key, with the maps that suit it best, comes nearer."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=generator, dtype=torch.float64) @ torch.diag(
        torch.arange(1.0, 7.0, dtype=torch.float64)
    )
    w, a = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((3, 2, 6), (3, 50, 2))
    )
    moments = Moments(x.mean(0), x.T.cov(correction=0))
    centred = x - x.mean(0)
    asked = a @ w @ centred.T  # (heads, queries, tokens)

    def loss(m: torch.Tensor, maps: torch.Tensor) -> float:
        return float((asked - a @ maps.transpose(1, 2) @ m @ centred.T).square().sum())

    grams = a.transpose(1, 2) @ a
    shared, maps = fitted(w, grams, 1, moments.roots())
    least = loss(shared[0], maps)
    for _ in range(50):
        m = shared[0] + 0.1 * torch.randn(2, 6, generator=generator, dtype=torch.float64)
        best = w @ centred.T @ torch.linalg.pinv(m @ centred.T)
        assert loss(m, best.transpose(1, 2)) > least
    norms = w.square().sum(-1).sqrt().mean()
    torch.testing.assert_close(shared[0].square().sum(-1).sqrt(), norms.expand(2))


def test_as_many_heads_as_before_change_nothing(world: World) -> None:
    model, rows = world
    same_model = fit_kv_heads(model, 4, input_moments(model, rows))
    assert same(run(same_model, input_ids=ids()).logits, run(model, input_ids=ids()).logits, 1e-4)


@pytest.mark.parametrize("stretched", [False, True])
def test_heads_that_have_one_key_in_truth_share_it(world: World, stretched: bool) -> None:
    """Whatever basis each of them sees it in; a rotation, or any invertible map."""
    model, rows = world
    maps = rotations(4)
    if stretched:
        maps = maps @ torch.diag(torch.linspace(0.5, 2, 8))
    equal = with_equal_keys(model, [0, 0, 1, 1], maps)
    moments = input_moments(equal, rows)
    found = fit_kv_heads(equal, 2, moments)
    assert {layer.kv_heads for layer in layer_widths(found.config)} == {2}
    assert same(run(found, input_ids=ids()).logits, run(equal, input_ids=ids()).logits, 1e-3)
    again = fit_kv_heads(found, 2, moments)
    assert same(run(again, input_ids=ids()).logits, run(found, input_ids=ids()).logits, 1e-3)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_each_way_to_share_is_nearer_than_the_one_before(world: World, kv_heads: int) -> None:
    model, rows = world
    mean = distance(model, merge_kv_heads(model, kv_heads))
    turned = distance(model, merge_kv_heads(align_heads(model, kv_heads), kv_heads))
    least = distance(model, fit_kv_heads(model, kv_heads, input_moments(model, rows)))
    assert least < turned < mean


def test_the_input_is_left_alone(world: World) -> None:
    model, rows = world
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit_kv_heads(model, 1, input_moments(model, rows))
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_likeness_does_not_depend_on_a_heads_basis() -> None:
    heads = torch.randn(4, 8, 32, generator=torch.Generator().manual_seed(0))
    alike = likeness(heads)
    torch.testing.assert_close(likeness(rotations(4) @ heads), alike, atol=1e-5, rtol=0)
    torch.testing.assert_close(alike.diagonal(), torch.ones(4).double(), atol=1e-9, rtol=0)
    assert alike.triu(1).max() < 0.999


def test_a_head_of_zeros_is_like_none_and_hides_no_likeness() -> None:
    heads = torch.randn(4, 8, 32, generator=torch.Generator().manual_seed(0))
    heads[3], heads[1] = heads[0], 0
    alike = likeness(heads)
    assert alike.isfinite().all()
    assert alike[1].max() == 0
    assert grouped(alike, 2) == [0, 3, 1, 2]


def test_heads_that_are_alike_come_together(world: World) -> None:
    model, _ = world
    equal = with_equal_keys(model, [0, 1, 1, 0], rotations(4))
    assert like_heads_together(equal, 2) == {0: [0, 3, 1, 2], 1: [0, 3, 1, 2]}


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_found_whatever_the_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(3).repeat(4)[torch.randperm(12, generator=generator)]
    noise = 0.1 * torch.rand(12, 12, generator=generator, dtype=torch.float64)
    alike = (kind[:, None] == kind).double() + noise + noise.T
    order = grouped(alike, 3)
    assert sorted(order) == list(range(12))
    assert all(len(set(kind[order[start : start + 4]].tolist())) == 1 for start in (0, 4, 8))


def test_one_group_is_all_heads() -> None:
    alike = torch.arange(16.0).view(4, 4)
    assert grouped(alike + alike.T, 1) == [0, 1, 2, 3]
    assert grouped(alike + alike.T, 4) == [0, 1, 2, 3]
