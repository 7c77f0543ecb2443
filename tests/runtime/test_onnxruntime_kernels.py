"""ONNX Runtime's own view of a graph leads back to the graph's nodes."""

from pathlib import Path

import pytest

from bertslim.graph.emit import write
from bertslim.graph.form import PLAIN, Form
from bertslim.runtime.engine import EngineSettings, kernels
from bertslim.runtime.kernels import Kernel, count_int8
from tests.runtime.worlds import LAYERS, counted, form_of, ranges, seen, small_bert

OWN = {
    "fp32": form_of("onnxruntime"),
    "int8": form_of("onnxruntime", ranges()),
    "dynamic int8": Form(dialect="onnxruntime", quantization=ranges(), dynamic=True),
}


def kernel_of(node: str, found: tuple[Kernel, ...]) -> Kernel:
    return next(kernel for kernel in found if node in kernel.nodes)


@pytest.mark.parametrize("form", OWN)
def test_every_node_of_the_own_dialect_is_found_once(form: str) -> None:
    written = write(small_bert(), OWN[form])
    found = seen("onnxruntime", form.split()[-1], written)
    nodes = [node for kernel in found for node in kernel.nodes]
    assert len(nodes) == len(set(nodes))
    assert set(written.gemms.values()) <= set(nodes)
    assert counted(written, found)["attention"] == (LAYERS, LAYERS)


@pytest.mark.parametrize("form", ["int8", "dynamic int8"])
def test_products_with_ranges_are_int8(form: str) -> None:
    written = write(small_bert(), OWN[form])
    inside = {path: node for path, node in written.gemms.items() if "layers." in path}
    assert len(inside) == 6 * LAYERS
    assert count_int8(inside, seen("onnxruntime", "int8", written)).refused == {}


def test_a_new_node_stands_for_the_old_ones_that_went_into_it() -> None:
    written = write(small_bert())
    found = seen("onnxruntime", "fp32", written)
    gelu = kernel_of("bert.layers.0.ffn.activation/gelu", found)
    assert gelu.kind == "BiasGelu"
    assert gelu.nodes == (
        "bert.layers.0.ffn.intermediate/bias",
        "bert.layers.0.ffn.activation/gelu",
    )
    assert counted(written, found)["bias + activation"] == (LAYERS, LAYERS)
    assert counted(written, found)["GEMM + activation"] == (0, LAYERS)
    assert counted(written, found)["attention"] == (0, LAYERS)


def test_nodes_whose_inputs_were_renamed_stay_what_they_are() -> None:
    """Quantisers move up before what only moves data, and give the values there new names."""
    found = seen("onnxruntime", "int8", write(small_bert(), form_of("openvino", ranges())))
    product = kernel_of("bert.layers.0.attention.output/matmul", found)
    assert (product.kind, product.precision) == ("MatMulIntegerToFloat", "int8")
    assert "bert.layers.0.attention/context" not in product.nodes
    context = kernel_of("bert.layers.0.attention/context", found)
    assert (context.kind, context.precision) == ("MatMul", "fp32")


def test_times_are_those_of_the_shape_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = write(small_bert(), PLAIN).proto.SerializeToString()
    without = kernels("onnxruntime", "fp32", graph, EngineSettings(1))
    assert {kernel.milliseconds for kernel in without} == {None}
    found = kernels("onnxruntime", "fp32", graph, EngineSettings(1, shapes=((2, 8),)))
    assert [kernel.name for kernel in found] == [kernel.name for kernel in without]
    assert all(kernel.milliseconds for kernel in found)
    assert list(tmp_path.iterdir()) == []
