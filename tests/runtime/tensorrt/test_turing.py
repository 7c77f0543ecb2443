"""Real engines for Turing (SM75), built without a GPU: what TensorRT-RTX makes of our graphs."""

from dataclasses import replace

import pytest

from bertslim.graph.form import Form
from bertslim.model.configuration import LayerWidths
from bertslim.model.modeling import SlimBertForSequenceClassification
from tests.runtime.tensorrt.worlds import FP16, World, builds, int8, random_model, turing_engine

pytestmark = builds

UNEVEN = [
    LayerWidths(heads=7, kv_heads=7, head_dim=16, intermediate_size=700, window=None),
    LayerWidths(heads=2, kv_heads=2, head_dim=16, intermediate_size=333, window=None),
]
SHARED = [
    LayerWidths(heads=4, kv_heads=1, head_dim=16, intermediate_size=256, window=None),
    LayerWidths(heads=4, kv_heads=2, head_dim=16, intermediate_size=256, window=8),
]


def assert_all_int8(world: World) -> None:
    """Every product with weights is int8, and no weights become floats while it runs."""
    precisions = {path: world.kernel_of(path).precision for path in world.gemms}
    assert set(precisions.values()) == {"int8"}, precisions
    assert {kind for kind, _ in world.found()} <= {"padded"}


def assert_fused(world: World, layers: int) -> None:
    """Each layer has one product for queries, keys and values, and one attention."""
    assert world.fused("QKV") == (layers, layers)
    assert world.fused("attention") == (layers, layers)


def test_fp16() -> None:
    world = turing_engine(random_model(), FP16)
    products = {world.kernel_of(path).precision for path in world.gemms}
    assert products == {"fp16"}
    assert world.found() == set()
    for kind in ("attention", "QKV", "GEMM + activation", "bias + activation"):
        assert world.fused(kind) == (2, 2)
    assert world.fused("residual + LayerNorm") == (4, 4)
    assert world.fused("embeddings + LayerNorm") == (1, 1)


def test_int8() -> None:
    model = random_model()
    world = turing_engine(model, int8(model))
    assert_all_int8(world)
    assert_fused(world, layers=2)
    attention = [k for k in world.kernels if k.kind.startswith("_gemm_mha")]
    assert [kernel.precision for kernel in attention] == ["fp16", "fp16"]
    # the product is int8, so the activation goes into the kernel that rounds for the next one
    assert world.fused("GEMM + activation") == (0, 2)
    assert world.fused("bias + activation") == (2, 2)


def test_int8_with_the_products_of_the_attention() -> None:
    model = random_model()
    world = turing_engine(model, int8(model, products=True))
    assert_all_int8(world)
    assert_fused(world, layers=2)
    attention = [k for k in world.kernels if k.kind.startswith("_gemm_mha")]
    assert [kernel.precision for kernel in attention] == ["int8", "int8"]


@pytest.mark.parametrize("products", [False, True])
def test_uneven_layers(products: bool) -> None:
    model = random_model(UNEVEN)
    world = turing_engine(model, int8(model, products=products))
    assert_all_int8(world)
    assert_fused(world, layers=2)
    widened = {f"bert.layers.{i}.ffn.{part}" for i in (0, 1) for part in ("intermediate", "output")}
    assert world.found() == {("padded", path) for path in widened}


@pytest.mark.parametrize("products", [False, True])
def test_shared_keys_and_values(products: bool) -> None:
    model = random_model(SHARED)
    world = turing_engine(model, int8(model, products=products))
    assert_all_int8(world)
    assert_fused(world, layers=2)


def test_blocks_of_a_window_would_be_fused_as_well() -> None:
    local = LayerWidths(heads=4, kv_heads=2, head_dim=16, intermediate_size=256, window=16)
    model = random_model([local, local], max_position_embeddings=512)
    world = turing_engine(model, replace(int8(model), windows="blocks"), shape=(2, 384))
    assert_all_int8(world)
    # the blocks and the first token of each layer
    assert world.fused("attention") == (4, 4)


def test_a_single_head_is_not_fused_and_that_is_said() -> None:
    one = LayerWidths(heads=1, kv_heads=1, head_dim=16, intermediate_size=256, window=None)
    world = turing_engine(random_model([one, UNEVEN[1]]), FP16)
    assert world.fused("attention") == (1, 2)
    assert ("attention not fused", "bert.layers.0.attention") in world.found()
    assert ("attention not fused", "bert.layers.1.attention") not in world.found()


def test_a_layer_that_was_left_in_float_is_no_finding() -> None:
    model = random_model()
    form = int8(model)
    assert form.quantization
    left = "bert.layers.1.ffn.output"
    kept = {path: range_ for path, range_ in form.quantization.inputs.items() if path != left}
    fewer = replace(form, quantization=replace(form.quantization, inputs=kept))
    world = turing_engine(model, fewer)
    assert world.kernel_of(left).precision == "fp16"
    assert world.kernel_of("bert.layers.0.ffn.output").precision == "int8"
    assert world.found() == set()


def test_the_last_layer_of_a_classifier_attends_with_one_token() -> None:
    world = turing_engine(random_model(head=SlimBertForSequenceClassification), FP16)
    assert world.fused("attention") == (2, 2)
    assert {k.kind for k in world.kernels if "mha" in k.kind} == {"_gemm_mha_v2", "_gemv_mha_v1"}
    assert world.kernel_of("bert.layers.1.attention.query").precision == "fp16"


def test_islands_leave_the_products_in_fp16() -> None:
    norms = frozenset(
        f"bert.layers.{i}.{norm}" for i in (0, 1) for norm in ("attention_norm", "ffn_norm")
    )
    world = turing_engine(random_model(), Form(floats="fp16", islands=norms))
    assert {world.kernel_of(path).precision for path in world.gemms} == {"fp16"}
    assert_fused(world, layers=2)
    assert world.fused("residual + LayerNorm") == (4, 4)


def test_a_model_of_the_size_of_bert_base() -> None:
    model = random_model(
        hidden_size=768, num_attention_heads=12, num_hidden_layers=12, intermediate_size=3072
    )
    world = turing_engine(model, int8(model, products=True), shape=(8, 128))
    assert_all_int8(world)
    assert_fused(world, layers=12)
    assert world.fused("residual + LayerNorm") == (24, 24)
    # 4 h^2 + 2 h f bytes a layer are int8; the rest is positions, norms, biases and scales
    weights = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert world.built.weights_bytes is not None
    assert weights < world.built.weights_bytes < 1.02 * weights
    assert weights < len(world.built.plan) < 1.15 * weights
