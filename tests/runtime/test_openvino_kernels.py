"""OpenVINO's own view of a graph leads back to the graph's nodes."""

import pytest

from bertslim.graph.emit import write
from bertslim.graph.form import PLAIN
from bertslim.runtime.engine import EngineSettings, kernels
from bertslim.runtime.kernels import Kernel, count_fusions, count_int8
from tests.runtime.worlds import (
    FUSES_INT8_ATTENTION,
    HAS_BF16,
    LAYERS,
    NEEDS_BF16,
    counted,
    form_of,
    ranges,
    seen,
    small_bert,
)

FORMS = {
    "fp32": ("fp32", PLAIN),
    "bf16": ("bf16", PLAIN),
    "int8": ("int8", form_of("openvino", ranges())),
    "int8 products": ("int8", form_of("openvino", ranges(products=True))),
}

CPU_FORMS = ["fp32", pytest.param("bf16", marks=NEEDS_BF16), "int8"]


def kernel_of(node: str, found: tuple[Kernel, ...]) -> Kernel:
    return next(kernel for kernel in found if node in kernel.nodes)


@pytest.mark.parametrize("form", [*CPU_FORMS, "int8 products"])
def test_every_product_with_weights_is_found_with_what_follows_it(form: str) -> None:
    precision, wanted = FORMS[form]
    written = write(small_bert(), wanted)
    found = seen("openvino", precision, written)
    for path, node in written.gemms.items():
        kernel = kernel_of(node, found)
        assert kernel.kind == "FullyConnected"
        inside = "layers." in path
        assert kernel.precision == (precision if inside or precision != "int8" else REST)
    assert counted(written, found)["GEMM + activation"] == (LAYERS, LAYERS)
    assert counted(written, found)["bias + activation"] == (LAYERS, LAYERS)
    assert len({kernel.name for kernel in found}) == len(found)


REST = "bf16" if HAS_BF16 else "fp32"


@pytest.mark.parametrize("form", CPU_FORMS)
def test_attention_is_one_kernel(form: str) -> None:
    precision, wanted = FORMS[form]
    written = write(small_bert(), wanted)
    found = seen("openvino", precision, written)
    assert counted(written, found)["attention"] == (LAYERS, LAYERS)
    kernel = kernel_of("bert.layers.0.attention/scores", found)
    expected = REST if form == "int8" else precision
    assert (kernel.kind, kernel.precision) == ("Subgraph", expected)


def test_attention_with_int8_products_is_one_kernel_just_where_the_cpu_can() -> None:
    precision, wanted = FORMS["int8 products"]
    written = write(small_bert(), wanted)
    found = seen("openvino", precision, written)
    fused = LAYERS if FUSES_INT8_ATTENTION else 0
    assert counted(written, found)["attention"] == (fused, LAYERS)
    kernel = kernel_of("bert.layers.0.attention/scores", found)
    kind = "Subgraph" if FUSES_INT8_ATTENTION else "MatMul"
    assert (kernel.kind, kernel.precision) == (kind, "int8")


def test_a_norm_with_its_sum_is_three_kernels_and_said_to_be() -> None:
    written = write(small_bert())
    counts = {c.kind: c for c in count_fusions(written.fusions, seen("openvino", "fp32", written))}
    refused = counts["residual + LayerNorm"].refused
    assert set(refused.values()) == {"it runs as 2 Eltwise, 1 MVN"}
    assert len(refused) == 2 * LAYERS
    assert counts["QKV"].refused == {"bert.layers.0.attention": "it runs as 3 FullyConnected"}


def test_what_is_dropped_since_it_is_zero_is_no_missing_fusion() -> None:
    written = write(small_bert(zeros=True))
    found = seen("openvino", "fp32", written)
    assert counted(written, found)["bias + activation"] == (LAYERS, LAYERS)
    assert counted(written, found)["GEMM + activation"] == (LAYERS, LAYERS)
    # nothing is left of scale and shift, and yet the norm is found, and is not in the sum's kernel
    norm = kernel_of("bert.layers.0.ffn_norm/norm", found)
    assert (norm.kind, norm.nodes) == ("MVN", ("bert.layers.0.ffn_norm/norm",))


def test_a_product_that_stays_in_float_is_told_from_int8() -> None:
    path = "bert.layers.1.ffn.output"
    written = write(small_bert(), form_of("openvino", ranges(left_out=[path])))
    count = count_int8(
        {p: n for p, n in written.gemms.items() if "layers." in p},
        seen("openvino", "int8", written),
    )
    assert (count.happened, count.expected) == (6 * LAYERS - 1, 6 * LAYERS)
    assert count.refused == {path: f"it runs as FullyConnected in {REST}"}


def test_times_are_those_of_the_shape_that_is_asked_for() -> None:
    graph = write(small_bert()).proto.SerializeToString()
    without = kernels("openvino", "fp32", graph, EngineSettings(1))
    assert {kernel.milliseconds for kernel in without} == {None}
    times = kernels("openvino", "fp32", graph, EngineSettings(1, shapes=((2, 8),)))
    assert [kernel.name for kernel in times] != []
    product = kernel_of("bert.layers.0.ffn.output/matmul", times)
    assert product.milliseconds is not None
    assert product.milliseconds > 0
