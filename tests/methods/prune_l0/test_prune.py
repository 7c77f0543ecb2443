from pathlib import Path

import pytest
import torch

from bertslim.errors import SettingsError
from bertslim.methods.prune_l0 import prune
from bertslim.methods.prune_l0.prune import prune_l0, refuse_what_cannot_be
from bertslim.methods.prune_l0.settings import KINDS, Target
from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.model.shapes import parameter_counts
from bertslim.train.batching import collate
from tests.methods.prune_l0.worlds import TASKS, asked, world
from tests.model.zoo import run, same, save_stock
from tests.train.training import assert_equal, settings, weights


def remembered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SlimBertPreTrainedModel, Gates]]:
    """The model and the gates of every cut."""
    seen: list[tuple[SlimBertPreTrainedModel, Gates]] = []
    real = prune.without_closed

    def remember(model: SlimBertPreTrainedModel, gates: Gates) -> SlimBertPreTrainedModel:
        seen.append((model, gates))
        return real(model, gates)

    monkeypatch.setattr(prune, "without_closed", remember)
    return seen


@pytest.mark.parametrize("train", ["gates", "all"])
@pytest.mark.parametrize("name", TASKS)
def test_the_result_computes_what_the_gated_model_did(
    name: str, train: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = world(tmp_path, name)
    kinds = ("heads", "ffn") if name == "words" else KINDS
    seen = remembered(monkeypatch)
    before = weights(model)
    wanted = asked(kinds=kinds, train=train)
    small, report = prune_l0(model, wanted, examples, settings(epochs=6))
    inputs = {
        key: torch.from_numpy(column)
        for key, column in collate(list(examples.encoded), 0).items()
        if key in ("input_ids", "attention_mask", "token_type_ids")
    }
    (trained, gates) = seen[0]
    expected = run(trained, **inputs, gates=gates)
    outputs = run(small, **inputs)
    for output in ("logits", "start_logits", "end_logits"):
        if expected.get(output) is not None:
            assert same(outputs[output], expected[output], 1e-5)
    assert_equal(weights(model), before)
    assert_half_is_gone(model, small)
    assert report.sparsity["parameters"] == pytest.approx(
        1 - parameter_counts(small).encoder / parameter_counts(model).encoder
    )
    widths = layer_widths(small.config)
    assert report.realised["heads"] == [layer.heads for layer in widths]
    assert report.realised["ffn"] == [layer.intermediate_size for layer in widths]
    assert report.realised.get("hidden", [32]) == [small.config.hidden_size]
    assert all(width % 4 == 0 for width in report.realised["ffn"])
    assert report.gates["ffn"] == [64, 64]
    assert all(0 < e < 64 for e in report.expected["ffn"])
    assert all(p.requires_grad for p in small.parameters())


def assert_half_is_gone(model: SlimBertPreTrainedModel, small: SlimBertPreTrainedModel) -> None:
    left = parameter_counts(small).encoder / parameter_counts(model).encoder
    # as near as a head, or four channels of the hidden state, come to it
    assert 0.5 - 0.13 < left <= 0.5


def test_a_heavier_penalty_leaves_less(tmp_path: Path) -> None:
    model, examples = world(tmp_path)
    left = []
    for penalty in (0.02, 30.0):
        wanted = asked(kinds=("ffn",), penalty=penalty, target=None, gate_learning_rate=0.1)
        _, report = prune_l0(model, wanted, examples, settings(epochs=4))
        left.append(sum(report.expected["ffn"]))
    assert left[0] > left[1]


def test_only_what_is_asked_for_is_gated(tmp_path: Path) -> None:
    model, examples = world(tmp_path)
    wanted = asked(kinds=("ffn",), target=Target(0.15, "flops"))
    small, report = prune_l0(model, wanted, examples, settings(epochs=3))
    assert report.realised.keys() == {"ffn"}
    assert [layer.heads for layer in layer_widths(small.config)] == [4, 4]
    assert small.config.hidden_size == 32
    assert report.sparsity["flops"] >= 0.15 - 1e-9


def test_what_a_model_cannot_have_is_refused_at_once(tmp_path: Path) -> None:
    words = load_model(save_stock(tmp_path / "words", "Bert", "masked-lm"))
    with pytest.raises(SettingsError, match="decoder is its word table"):
        refuse_what_cannot_be(words, asked())
    with pytest.raises(SettingsError) as error:
        refuse_what_cannot_be(words, asked(kinds=("heads",), target=Target(0.9, "parameters")))
    assert "--target-sparsity 0.9: all heads together are only 0." in str(error.value)


def test_settings_that_cannot_be_are_all_named() -> None:
    with pytest.raises(SettingsError) as error:
        asked(kinds=("heads", "layers"), penalty=-1.0, target=Target(1.0, "flops"), multiple=0)
    assert str(error.value).splitlines() == [
        "gates cannot be learnt:",
        "  - --gates takes heads, ffn, hidden, not layers",
        "  - --penalty or --target-sparsity is needed, and not both",
        "  - --penalty must be above 0",
        "  - --target-sparsity must lie between 0 and 1",
        "  - --multiple must be at least 1",
    ]
    with pytest.raises(SettingsError, match="is needed, and not both"):
        asked(target=None)
    with pytest.raises(SettingsError, match="not nothing"):
        asked(kinds=())
