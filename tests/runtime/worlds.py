"""A small model with ranges for int8, and the graphs that runtimes get of it."""

from collections.abc import Collection
from functools import cache

import pytest
import torch
from torch import nn

from bertslim.graph.emit import Written, write
from bertslim.graph.form import PLAIN, Form
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertForSequenceClassification
from bertslim.model.quantization import Quantization, Range
from bertslim.runtime.engine import EngineSettings, Source, kernels
from bertslim.runtime.kernels import Kernel, count_fusions
from bertslim.runtime.machine import cpu_flags
from bertslim.runtime.openvino_ import only_core

LAYERS = 2
SETTINGS = EngineSettings(threads=1)
ON_CPU = ("onnxruntime", "openvino")
FUSES_INT8_ATTENTION = "avx512f" in cpu_flags()
"""Whether OpenVINO has fused kernels for this CPU of an attention whose products are int8."""
HAS_BF16 = "BF16" in only_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
"""Whether OpenVINO computes in bf16 on this CPU, by its own word."""
NEEDS_BF16 = pytest.mark.skipif(not HAS_BF16, reason="this CPU has no bf16")


@cache
def small_bert(*, zeros: bool = False) -> SlimBertForSequenceClassification:
    """Return a classifier of two layers; `zeros`: with the biases and norms of a fresh one."""
    torch.manual_seed(0)
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
        initializer_range=0.3,
        pooler_activation="tanh",
    )
    model = SlimBertForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not zeros and name.endswith("bias"):
                parameter.normal_(0, 0.1)
            if not zeros and "norm.weight" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.train(mode=False)
    return model


def ranges(*, products: bool = False, left_out: Collection[str] = ()) -> Quantization:
    """Return ranges for all linear layers of the encoder, which hold what a norm gives."""
    layers = [name for name, m in small_bert().named_modules() if isinstance(m, nn.Linear)]
    inside = [name for name in layers if "layers." in name and name not in left_out]
    parts = [name for name in inside if products and name.endswith(("query", "key", "value"))]
    wide = Range(-5.0, 5.0)
    return Quantization(dict.fromkeys(inside, wide), dict.fromkeys(parts, wide))


def form_of(runtime: str, quantization: Quantization | None = None) -> Form:
    """Return the form that the runtime gets."""
    if runtime == "openvino":
        return Form(quantization=quantization)
    return Form(dialect="onnxruntime", quantization=quantization)


def source_of(form: Form = PLAIN) -> Source:
    """Return what engines of the small model are built from."""
    graph = write(small_bert(), form).proto.SerializeToString()
    return Source(small_bert(), graph=lambda *_: graph)


def seen(runtime: str, precision: str, written: Written) -> tuple[Kernel, ...]:
    """Return the runtime's own view, without times."""
    return kernels(runtime, precision, written.proto.SerializeToString(), SETTINGS)


def counted(written: Written, found: tuple[Kernel, ...]) -> dict[str, tuple[int, int]]:
    """Return how many fusions happened and how many should have, by kind."""
    return {c.kind: (c.happened, c.expected) for c in count_fusions(written.fusions, found)}
