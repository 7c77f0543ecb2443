"""Files that are no graphs, and graphs that are no BERTs: one line, and the cure."""

from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto, helper

from bertslim.errors import BertslimError, CheckpointError
from bertslim.runtime.engine import Source, build, kernels
from tests.runtime.worlds import ON_CPU, SETTINGS, small_bert, source_of

CURE = "make the graph again: bertslim fuse, or bertslim quantize, for this runtime"


def small_graph(
    inputs: list[str], outputs: list[str], operator: str = "Sum", domain: str = ""
) -> bytes:
    """Somebody's graph: each output is twice the sum of the inputs."""
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"])
        for name in inputs + outputs
    }
    nodes = [helper.make_node(operator, inputs * 2, [name], domain=domain) for name in outputs]
    graph = helper.make_graph(nodes, "g", [values[n] for n in inputs], [values[n] for n in outputs])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return model.SerializeToString()


BERT = ["input_ids", "attention_mask"]
FAULTS: dict[str, tuple[bytes, str]] = {
    "text": (b"a graph? no", r"cannot read the graph \(.+\)"),
    "nothing": (b"", r"cannot read the graph \(.+\)"),
    "half": (source_of().graph("", "")[:-1000], r"cannot read the graph \(.+\)"),
    "unknown operator": (
        small_graph(BERT, ["logits"], "Fancy", "com.example"),
        "cannot read the graph .*Fancy",
    ),
    "an image": (small_graph(["pixels"], ["logits"]), "takes pixels; a BERT takes input_ids, att"),
    "more inputs": (
        small_graph([*BERT, "beam"], ["logits"]),
        "takes input_ids, attention_mask, beam; a BERT",
    ),
    "fewer inputs": (small_graph(["input_ids"], ["logits"]), "takes input_ids; a BERT takes"),
    "other outputs": (small_graph(BERT, ["boxes"]), "gives boxes; known are logits, start_logits"),
}


@pytest.mark.parametrize("way", ["build", "kernels"])
@pytest.mark.parametrize("runtime", ON_CPU)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_graph_that_does_not_do_is_refused(fault: str, runtime: str, way: str) -> None:
    graph, message = FAULTS[fault]
    source = Source(small_bert(), graph=lambda *_: graph)
    ways: dict[str, Callable[[], object]] = {
        "build": lambda: build(runtime, "fp32", source, SETTINGS),
        "kernels": lambda: kernels(runtime, "fp32", graph, SETTINGS),
    }
    with pytest.raises(CheckpointError, match=message) as caught:
        ways[way]()
    assert caught.value.hint == CURE
    assert "\n" not in str(caught.value)


def test_pytorch_has_no_graph() -> None:
    with pytest.raises(BertslimError, match="PyTorch runs a model, not a graph"):
        kernels("torch", "fp32", b"", SETTINGS)
