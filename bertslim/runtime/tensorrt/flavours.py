"""Which TensorRT is there: the full one, or the one for RTX cards, which builds without a GPU."""

import importlib
from dataclasses import dataclass
from functools import cache
from typing import cast

from bertslim.errors import UnavailableError
from bertslim.runtime.tensorrt import api
from bertslim.runtime.tensorrt.log import Log

TENSORRT = "tensorrt"
RTX = "tensorrt-rtx"
MODULES = {TENSORRT: "tensorrt", RTX: "tensorrt_rtx"}
NAMES = {TENSORRT: "TensorRT", RTX: "TensorRT-RTX"}
"""As NVIDIA writes them."""

OLDEST = {TENSORRT: "10.0", RTX: "1.4"}
"""The first of each whose interface has all that bertslim uses."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the two, as it is installed."""

    runtime: str
    """bertslim's name: `tensorrt` or `tensorrt-rtx`."""
    module: api.Module
    log: Log

    @property
    def name(self) -> str:
        """As people write it, with its version."""
        return f"{NAMES[self.runtime]} {self.version}"

    @property
    def version(self) -> str:
        """As the module tells it."""
        return self.module.__version__

    @property
    def builds_for_others(self) -> bool:
        """Whether it builds for GPUs that this machine does not have."""
        return hasattr(self.module, "ComputeCapability")


@cache
def load_flavour(runtime: str) -> Flavour:
    """Import TensorRT.

    Raises:
        UnavailableError: If it is not installed, or is no TensorRT that bertslim can use.
    """
    hint = f"pip install 'bertslim[{runtime}]'"
    try:
        module = importlib.import_module(MODULES[runtime])
    except ModuleNotFoundError as error:
        raise UnavailableError(f"the package {error.name} is not installed", hint) from error
    except (ImportError, OSError) as error:
        # its libraries come in packages of their own
        raise UnavailableError(f"{NAMES[runtime]} cannot be loaded: {error}", hint) from error
    # stubs leave a package of that name without any content
    if not hasattr(module, "Builder"):
        raise UnavailableError(f"what Python finds as {MODULES[runtime]} is not TensorRT", hint)
    if not hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        found = f"{NAMES[runtime]} {module.__version__}"
        oldest = f"{NAMES[runtime]} {OLDEST[runtime]} or later is needed"
        raise UnavailableError(f"{found} cannot be held to a graph's precision", oldest)
    checked = cast(api.Module, module)
    return Flavour(runtime, checked, Log(checked))
