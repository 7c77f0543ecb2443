import pytest
import torch
from torch import Tensor

from bertslim.errors import TrainingError
from bertslim.methods.prune_l0.cut import LEAST_KEPT, cut, kept_without
from bertslim.methods.prune_l0.gates import PerKind, gate_counts
from bertslim.methods.prune_l0.hard_concrete import LOG_ALPHA_LIMIT, settled
from bertslim.methods.prune_l0.settings import KINDS, Kind, Target
from bertslim.methods.prune_l0.sparsity import sparsity
from bertslim.model.configuration import SlimBertConfig


def config(**changes: int) -> SlimBertConfig:
    settings = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    return SlimBertConfig(**{**settings, "intermediate_size": 48, **changes})


def drawn(shape: SlimBertConfig, kinds: tuple[Kind, ...] = KINDS, seed: int = 0) -> PerKind:
    generator = torch.Generator().manual_seed(seed)
    counts = gate_counts(shape, kinds)
    return {k: [torch.randn(n, generator=generator) * 3 for n in ns] for k, ns in counts.items()}


def left(values: PerKind, kind: Kind) -> list[int]:
    return [int((layer > 0).sum()) for layer in values[kind]]


def test_without_a_target_a_gate_goes_if_it_settles_at_0() -> None:
    log_alpha = drawn(config())
    found = cut(config(), log_alpha, 1, None)
    for kind in KINDS:
        for values, layer in zip(found.values[kind], log_alpha[kind], strict=True):
            kept = settled(layer) > 0
            assert (values > 0).equal(kept)
            assert values[kept].equal(settled(layer)[kept].clamp(min=LEAST_KEPT))
    assert found.threshold == pytest.approx(-2.398, abs=0.2)
    assert settled(torch.tensor(found.threshold)) == 0


@pytest.mark.parametrize("multiple", [1, 8, 16])
@pytest.mark.parametrize("of", ["parameters", "flops"])
@pytest.mark.parametrize("wanted", [0.2, 0.5, 0.8])
def test_a_target_is_met_by_the_fewest_gates(wanted: float, of: str, multiple: int) -> None:
    shape, target = config(), Target(wanted, of)
    log_alpha = drawn(shape)
    found = cut(shape, log_alpha, multiple, target)
    masks = {kind: [v > 0 for v in layers] for kind, layers in found.values.items()}
    assert sparsity(of, shape, masks) >= wanted - 1e-9
    every = torch.cat([layer for layers in log_alpha.values() for layer in layers])
    closed = int((every <= found.threshold).sum())
    fewer = kept_without(closed - 1, shape, log_alpha, multiple)
    assert sparsity(of, shape, fewer) < wanted
    for number in left(found.values, "ffn") + left(found.values, "hidden"):
        assert number % multiple == 0


def test_a_width_that_nothing_leaves_stays_as_it_is() -> None:
    shape = config(intermediate_size=46, hidden_size=30)
    open_: PerKind = {
        kind: [torch.full((n,), 4.0) for n in ns] for kind, ns in gate_counts(shape, KINDS).items()
    }
    found = cut(shape, open_, 8, None)
    assert left(found.values, "ffn") == [46] * 3
    assert left(found.values, "hidden") == [30]
    assert found.threshold is None
    open_["ffn"][0][3], open_["ffn"][1][:30], open_["hidden"][0][:9] = -4.0, -4.0, -4.0
    found = cut(shape, open_, 8, None)
    # 45, 16 and 46; 21
    assert left(found.values, "ffn") == [46, 16, 46]
    assert left(found.values, "hidden") == [24]
    # one that closed by its rule fills the multiple, barely open
    assert float(found.values["ffn"][0].min()) == pytest.approx(LEAST_KEPT)


def test_gates_at_the_limit_go_one_by_one() -> None:
    shape = config()
    ends: PerKind = {"ffn": [torch.full((48,), -LOG_ALPHA_LIMIT) for _ in range(3)]}
    for closed in (0, 1, 60, 143):
        kept = kept_without(closed, shape, ends, 1)
        assert sum(int(mask.sum()) for mask in kept["ffn"]) == 144 - closed
    found = cut(shape, ends, 1, Target(0.25, "parameters"))
    assert sum(left(found.values, "ffn")) > 48
    assert {round(float(v), 6) for layer in found.values["ffn"] for v in layer} == {0, LEAST_KEPT}


def test_a_hidden_width_never_hides_a_projection() -> None:
    shape = config(embedding_size=16)
    gates: PerKind = {"hidden": [torch.linspace(-8, 7, 32)]}
    kept = kept_without(16, shape, gates, 8)["hidden"][0]
    assert int(kept.sum()) == 24
    kept = kept_without(16, config(), gates, 8)["hidden"][0]
    assert int(kept.sum()) == 16


def test_a_hidden_state_keeps_a_multiple_if_it_keeps_anything() -> None:
    gates: PerKind = {"hidden": [torch.linspace(-8, 7, 32)]}
    assert int(kept_without(31, config(), gates, 8)["hidden"][0].sum()) == 8


def test_so_does_a_layer_with_an_open_gate() -> None:
    gates: PerKind = {"ffn": [torch.full((48,), value) for value in (4.0, -4.0, -4.0)]}
    gates["ffn"][1][:3] = 4.0
    assert left(cut(config(), gates, 8, None).values, "ffn") == [48, 8, 0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("heads", "no head"), ("ffn", "no FFN unit"), ("hidden", "no hidden channel")],
)
def test_a_model_with_nothing_of_a_kind_is_refused(kind: Kind, said: str) -> None:
    log_alpha: dict[Kind, list[Tensor]] = {k: list(v) for k, v in drawn(config()).items()}
    log_alpha[kind] = [torch.full_like(layer, -4.0) for layer in log_alpha[kind]]
    with pytest.raises(TrainingError, match=f"{said} would be left") as error:
        cut(config(), log_alpha, 1, None)
    assert "lower --penalty" in error.value.hint
    # one layer may lose all of them
    if kind != "hidden":
        log_alpha[kind][1] = torch.full_like(log_alpha[kind][1], 4.0)
        assert left(cut(config(), log_alpha, 1, None).values, kind)[0] == 0
