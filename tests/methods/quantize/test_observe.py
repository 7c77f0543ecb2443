import pytest
import torch
from torch import Tensor

from bertslim.errors import DataError
from bertslim.methods.quantize.observe import Rows, linear_layers, observe, smeared
from bertslim.model.modeling import SlimBertPreTrainedModel
from tests.methods.quantize.models import (
    classifier,
    encoder,
    rows,
    tagger,
    token_rows,
    uneven,
)

LAYER = [
    *(f"attention.{part}" for part in ("query", "key", "value", "output")),
    "ffn.intermediate",
    "ffn.output",
]


def seen(
    model: SlimBertPreTrainedModel, batch_size: int
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, str]]:
    """Inputs and outputs by path, all batches one after the other; and whose input is whose."""
    inputs: dict[str, list[Tensor]] = {}
    outputs: dict[str, list[Tensor]] = {}
    leaders = observe(
        model,
        rows(batch_size),
        lambda path, x: inputs.setdefault(path, []).append(x),
        lambda path, x: outputs.setdefault(path, []).append(x),
    )
    joined = [{path: torch.cat(parts) for path, parts in d.items()} for d in (inputs, outputs)]
    return joined[0], joined[1], dict(leaders)


def in_any_order(x: Tensor) -> Tensor:
    """Tokens sorted by their first channel."""
    return x[x[:, 0].argsort()]


def test_every_product_of_the_encoder_layers_is_there() -> None:
    expected = [f"bert.layers.{n}.{part}" for n in (0, 1) for part in LAYER]
    assert list(linear_layers(classifier())) == expected
    assert list(linear_layers(encoder())) == [path.removeprefix("bert.") for path in expected]


def test_products_of_nothing_are_left_out() -> None:
    assert list(linear_layers(uneven())) == [
        "bert.embeddings.projection",
        *(f"bert.layers.0.{part}" for part in LAYER),
        *(f"bert.layers.1.{part}" for part in LAYER[4:]),
        *(f"bert.layers.2.{part}" for part in LAYER[:4]),
    ]


@pytest.mark.parametrize("make", [classifier, tagger, uneven, encoder])
def test_padding_is_not_seen(make: object) -> None:
    """Batches show what rows show that run alone; a padding token would stand out."""
    model = make()
    with torch.no_grad():
        model.encoder.embeddings.word_embeddings.weight[0] = 100.0
    together, alone = seen(model, 4), seen(model, 1)
    assert together[2] == alone[2]
    for found, expected in zip(together[:2], alone[:2], strict=True):
        assert found.keys() == expected.keys()
        for path, values in expected.items():
            torch.testing.assert_close(
                in_any_order(found[path]), in_any_order(values), atol=1e-4, rtol=1e-4
            )


def test_the_last_layer_of_a_classifier_goes_on_with_the_first_token() -> None:
    inputs, _, leaders = seen(classifier(), 4)
    last = "bert.layers.1.attention"
    tokens = sum(len(ids) for ids in token_rows()["input_ids"])
    assert inputs[f"{last}.query"].shape == (10, 32)
    assert inputs[f"{last}.key"].shape == (tokens, 32)
    assert leaders[f"{last}.value"] == f"{last}.key"
    assert leaders[f"{last}.query"] == f"{last}.query"


def test_layers_with_one_input_share_it() -> None:
    inputs, outputs, leaders = seen(tagger(), 4)
    for number in (0, 1):
        attention = f"bert.layers.{number}.attention"
        assert {leaders[f"{attention}.{part}"] for part in ("query", "key", "value")} == {
            f"{attention}.query"
        }
        assert f"{attention}.key" not in inputs
        assert f"{attention}.key" in outputs
    assert leaders["bert.layers.0.ffn.output"] == "bert.layers.0.ffn.output"


def test_the_model_is_left_as_it_was() -> None:
    model = tagger().train()
    seen(model, 4)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no rows to calibrate on"):
        Rows(token_rows([]), 4)


def test_bf16_shows_no_comb() -> None:
    """Values that bf16 merged are apart again, and as large as they were."""
    x = torch.linspace(1, 2, 4096)[None].repeat(8, 1).T.bfloat16()  # (tokens, 8)
    assert len(x.unique()) == 129
    found = smeared(x)
    assert len(found.unique()) == 8 * 129
    torch.testing.assert_close(found, x.float(), rtol=2**-9, atol=0)


def test_what_a_bf16_model_computes_is_seen_without_its_comb() -> None:
    seen: dict[str, Tensor] = {}
    data = Rows(token_rows([30] * 20), 20, precision="bf16")
    observe(tagger(), data, lambda path, x: seen.update({path: x}))
    for path in ("bert.layers.0.attention.output", "bert.layers.0.ffn.output"):
        values = seen[path]
        assert len(values.bfloat16().unique()) < len(values.unique()) / 3
