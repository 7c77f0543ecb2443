"""Which form of a graph each target runs best in each precision, and why some have none."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bertslim.errors import SettingsError, UnavailableError
from bertslim.model.families.family import SPANS
from bertslim.store.deployment import Target

if TYPE_CHECKING:
    from bertslim.graph.form import Form
    from bertslim.methods.quantize.calibrate import Quantize
    from bertslim.methods.quantize.grid import Scheme
    from bertslim.model.quantization import Quantization

GPU_TARGETS = ("tensorrt", "tensorrt-rtx")
PRECISIONS = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
    "tensorrt-rtx": ("fp32", "fp16", "int8"),
}
"""What each target computes in. ONNX Runtime's CPU kernels know fp32 and int8 alone."""

INT8_ATTENTION = ("openvino",)
"""Targets whose attentions are int8 inside unless something else is asked for. OpenVINO gains by
it; ONNX Runtime has no kernel for it; on a GPU nothing was run."""

IN_BLOCKS = ("onnxruntime", "openvino")
"""Targets whose attentions within a window are cut into blocks; `scripts/local_attention.py` tells
what is gained. TensorRT fuses blocks as well as a mask, but on a GPU nothing was timed."""

TargetName = Annotated[
    Target,
    typer.Option("--target", help="The runtime that the graph is for.", show_default=False),
]
Sm = Annotated[
    str,
    typer.Option(
        "--sm",
        metavar="NUMBER",
        help="Compute capability that TensorRT-RTX builds for: 75 is Turing, 80 and 86 Ampere.",
        show_default=False,
    ),
]


def form_for(
    target: str,
    precision: str,
    quantization: "Quantization | None" = None,
    *,
    dynamic: bool = False,
    islands: frozenset[str] = frozenset(),
    scales: Literal["floats", "fp32"] = "floats",
) -> "Form":
    """Return the form that a target runs best.

    Args:
        target: One of those in `PRECISIONS`.
        precision: One of the target's.
        quantization: Of int8.
        dynamic: int8 with ranges that ONNX Runtime measures at run time.
        islands: Modules that stay fp32 in fp16.
        scales: Of int8 in an fp16 graph, see `Form`.

    Raises:
        UnavailableError: If the target has no such precision, or int8 is asked for without ranges.
    """
    from bertslim.graph.form import Form

    if precision not in PRECISIONS[target]:
        known = ", ".join(PRECISIONS[target])
        raise UnavailableError(f"{target} has no {precision}", f"it has: {known}")
    if precision == "int8" and quantization is None:
        raise UnavailableError(
            "int8 needs the ranges of the activations", "bertslim quantize measures them"
        )
    half = target in GPU_TARGETS and precision != "fp32"
    return Form(
        dialect="onnxruntime" if target == "onnxruntime" else "standard",
        floats="fp16" if half else "fp32",
        quantization=quantization if precision == "int8" else None,
        windows="blocks" if target in IN_BLOCKS else "mask",
        dynamic=dynamic,
        islands=islands,
        scales=scales,
        letters="table",
    )


def int8_scheme(target: str) -> "Scheme":
    """Return how a target likes its activations rounded."""
    return "unsigned" if target == "onnxruntime" else "symmetric"


def usual_attention(target: str, architecture: str) -> bool:
    """Whether attentions are int8 inside unless something else is asked for."""
    # an answer is one place among hundreds: its logits bear less than those of a few classes
    return target in INT8_ATTENTION and not architecture.endswith(SPANS)


def usual_int8(target: str, architecture: str) -> "Quantize":
    """Return how int8 is calibrated for a target unless something else is asked for."""
    from bertslim.methods.quantize.calibrate import Quantize
    from bertslim.methods.quantize.thresholds import Calibration

    return Quantize(
        Calibration("entropy"),
        products=usual_attention(target, architecture),
        smooth=True,
        scheme=int8_scheme(target),
    )


def chosen_sm(target: str, precision: str, sm: str) -> str:
    """Return the compute capability to build for: by default the oldest that has the precision.

    Raises:
        SettingsError: If one is named and the target is no GPU.
    """
    from bertslim.runtime.tensorrt.engine import OLDEST_TARGETS

    if target in GPU_TARGETS:
        return sm or OLDEST_TARGETS[precision]
    if sm:
        raise SettingsError(f"--sm {sm} names a GPU, and --target {target} runs on a CPU")
    return ""
