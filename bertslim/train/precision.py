"""Where training runs and in which precision; bf16 only where the hardware computes in it."""

import os
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

import torch
from torch import nn

from bertslim.errors import UnavailableError

Precision = Literal["fp32", "bf16"]
Model = TypeVar("Model", bound=nn.Module)


def choose_device(asked: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to train on; "auto" takes a GPU where there is one.

    Of several processes on a host each has the GPU of its number, from the first model on.

    Raises:
        UnavailableError: "cuda" was asked for and PyTorch sees no GPU.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("PyTorch sees no CUDA device", "use --device cpu")
    if asked == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
    return torch.device("cuda", number)


def placed(model: Model, device: torch.device) -> Model:
    """Move a model's weights to a device and return it."""
    nn.Module.to(model, device)
    return model


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 instructions; elsewhere bf16 would be emulated, and slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def choose_precision(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """Return the precision of the matrix products; "auto" takes bf16 where the device has it.

    Raises:
        UnavailableError: "bf16" was asked for and the device would have to emulate it.
    """
    available = computes_bf16(device)
    if asked == "bf16" and not available:
        raise UnavailableError(
            f"this {device.type} has no bf16 instructions (AMX or AVX512-BF16 on a CPU)",
            "use --precision fp32, or auto to take bf16 where there is some",
        )
    return "bf16" if available and asked != "fp32" else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Run matrix products in `precision` inside the context; weights and losses stay fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
