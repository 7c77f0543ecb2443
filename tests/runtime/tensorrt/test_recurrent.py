"""Real engines of recurrent models for Turing (SM75), built without a GPU."""

import pytest

from bertslim.graph.form import Form
from bertslim.methods.quantize.recurrent import known_ranges
from tests.model.lstm.models import LETTERS, tiny_lstm
from tests.runtime.tensorrt.worlds import builds, turing_engine

pytestmark = builds

SIZES = {"num_hidden_layers": 1, "hidden_size": 16, "embedding_size": 16, "head_size": 16}
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "ends": ("text-classification", {}),
    "attentive pair": ("text-classification", {"pooling": "attention", "pairs": True}),
    "spelt tags": ("token-classification", {"characters": LETTERS}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str) -> None:
    head, settings = KINDS[kind]
    world = turing_engine(
        tiny_lstm(head, **SIZES, **settings), Form(floats="fp16", letters="table"), (2, 8)
    )
    products = [kernel for kernel in world.kernels if kernel.kind == "gemm"]
    assert len(products) >= 8  # the steps are unrolled
    assert {product.precision for product in products} == {"fp16"}
    assert world.fused("LSTM") == (0, 1)
    assert {kind for kind, _ in world.found()} <= {"padded"}


def test_int8_of_projections() -> None:
    model = tiny_lstm("text-classification", **SIZES, pooling="attention")
    form = Form(floats="fp16", letters="table", quantization=known_ranges(model))
    world = turing_engine(model, form, (2, 8))
    int8 = {path: world.kernel_of(path).precision for path in ("pooling.dense", "classifier.dense")}
    assert set(int8.values()) == {"int8"}
    assert world.kernel_of("classifier.output").precision == "fp16"
    assert world.fused("int8 LSTM") == (0, 1)
