"""Models, their graphs, and engines of them for Turing; without the builder nothing is shown."""

import platform
from dataclasses import dataclass

import pytest
import torch

from bertslim.graph.emit import write
from bertslim.graph.form import Form
from bertslim.model.configuration import LayerWidths, SlimBertConfig, with_widths
from bertslim.model.modeling import SlimBertForTokenClassification, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization, Range
from bertslim.model.slim import SlimModel
from bertslim.runtime.kernels import Kernel, count_fusions
from bertslim.runtime.tensorrt.building import Built, build_ahead
from bertslim.runtime.tensorrt.findings import findings
from bertslim.runtime.tensorrt.layers import kernels_of
from bertslim.store.deployment import Fusion

HERE = f"{platform.system()} {platform.machine()}"
TURING = "75"
SHAPE = (2, 16)

# where there are wheels, TensorRT-RTX is a requirement of the tests: its absence fails them
builds = pytest.mark.skipif(
    HERE != "Linux x86_64", reason=f"TensorRT-RTX has no wheels for {HERE}: nothing can be built"
)

FP16 = Form(floats="fp16")


def random_model(
    widths: list[LayerWidths] | None = None,
    head: type[SlimBertPreTrainedModel] = SlimBertForTokenClassification,
    **settings: object,
) -> SlimBertPreTrainedModel:
    """Two layers of 4 heads and 256 units, 64 wide, unless it is told otherwise."""
    torch.manual_seed(0)
    defaults: dict[str, object] = {
        "vocab_size": 64,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 128,
        "num_labels": 8,
        "pooler_activation": "tanh",
    }
    config = SlimBertConfig(**{**defaults, **settings})
    return head(with_widths(config, widths) if widths else config).eval()


def int8(model: SlimBertPreTrainedModel, *, products: bool = False) -> Form:
    """Everything that can be int8 is, with ranges that fit nothing in particular."""
    linear = [n for n, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    inner = [n for n in linear if n.endswith(("query", "key", "value"))]
    ranges = Quantization(
        inputs=dict.fromkeys(linear, Range(-4.0, 4.0)),
        products=dict.fromkeys(inner, Range(-4.0, 4.0)) if products else {},
    )
    return Form(floats="fp16", quantization=ranges)


@dataclass(frozen=True)
class World:
    """A graph, and the engine that was built from it."""

    graph: bytes
    fusions: tuple[Fusion, ...]
    gemms: dict[str, str]
    built: Built
    kernels: tuple[Kernel, ...]

    def fused(self, kind: str) -> tuple[int, int]:
        """How many fusions of a kind happened, and how many could have."""
        counts = {count.kind: count for count in count_fusions(self.fusions, self.kernels)}
        return counts[kind].happened, counts[kind].expected

    def found(self) -> set[tuple[str, str]]:
        """What is to be said of the engine, and where."""
        return {(f.kind, f.place) for f in findings(self.graph, self.built.layers)}

    def kernel_of(self, path: str) -> Kernel:
        """The kernel that multiplies with a linear layer's weights."""
        (kernel,) = (k for k in self.kernels if self.gemms[path] in k.nodes)
        return kernel


def turing_engine(model: SlimModel, form: Form, shape: tuple[int, int] = SHAPE) -> World:
    """Build a model for SM75, without a GPU."""
    written = write(model, form)
    graph = written.proto.SerializeToString()
    built = build_ahead(graph, shape, TURING)
    return World(graph, written.fusions, dict(written.gemms), built, kernels_of(built.layers))
