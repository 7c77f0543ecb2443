"""Why a build failed: what TensorRT's log says, as one line with a cure."""

import re
from collections.abc import Sequence

from bertslim.errors import CheckpointError, UnavailableError
from bertslim.runtime.graphs import CURE
from bertslim.runtime.tensorrt.driver import VOLTA
from bertslim.runtime.tensorrt.flavours import RTX, Flavour
from bertslim.runtime.tensorrt.log import Line

NO_DRIVER = "cudaError 35"
"""Logged without a GPU beside whatever is really wrong, and alone where a GPU is really needed."""
ERRORS = ("ERROR", "INTERNAL_ERROR")
INT64_INPUT = "has Int64 binding"
"""A reminder that every graph of ours would bring."""

_FP32_PRODUCT = re.compile(r"operation '(.*?)(?:_U\d+)?' for .*FP32 GEMM is not supported")
_FOREIGN_OPERATOR = re.compile(r"operator: (\w+).*Plugin not found", re.DOTALL)


def warnings_of(log: Sequence[Line]) -> tuple[str, ...]:
    """Return what the log warns of, each once."""
    found = [line.text for line in log if line.severity == "WARNING"]
    return tuple(dict.fromkeys(text for text in found if INT64_INPUT not in text))


def errors_of(log: Sequence[Line]) -> tuple[str, ...]:
    """Return what went wrong; that there is no driver only if nothing else did."""
    found = [line.text for line in log if line.severity in ERRORS]
    return tuple(text for text in found if NO_DRIVER not in text) or tuple(found)


def parser_refusal(flavour: Flavour, faults: Sequence[str]) -> CheckpointError:
    """Explain a graph that cannot be read."""
    said = "; ".join(faults)
    if foreign := _FOREIGN_OPERATOR.search(said):
        return CheckpointError(f"{flavour.name} does not know the operator {foreign[1]}", CURE)
    return CheckpointError(f"{flavour.name} cannot read the graph ({said})", CURE)


def build_refusal(flavour: Flavour, sm: str, log: Sequence[Line]) -> UnavailableError:
    """Explain a network that cannot be compiled."""
    said = "; ".join(errors_of(log))
    if product := _FP32_PRODUCT.search(said):
        return UnavailableError(
            f"{flavour.name} builds no fp32 matrix products for SM{sm} (the first is {product[1]})",
            "--precision fp16 or int8, another --sm, or --runtime tensorrt on the GPU's machine",
        )
    if "HW-specific datatypes: b16" in said:
        return UnavailableError(f"SM{sm} has no bf16", "--precision fp16, or --sm 80 or above")
    if NO_DRIVER in said:
        return no_device(flavour)
    hint = "SM70 (Volta) needs TensorRT 10.0 to 10.4" if sm == VOLTA else ""
    said = said or "it says nothing"
    return UnavailableError(f"{flavour.name} cannot build for SM{sm}: {said}", hint)


def no_device(flavour: Flavour) -> UnavailableError:
    """Explain that a GPU is needed."""
    ahead = "" if flavour.runtime == RTX else ", or --runtime tensorrt-rtx with --sm"
    return UnavailableError(
        f"{flavour.name} needs a CUDA device here and finds none",
        f"run this where the GPU is{ahead or ', or choose what to build for: --sm 75'}",
    )
