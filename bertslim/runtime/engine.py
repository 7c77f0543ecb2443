"""What an engine is, which runtimes there are, how one is built; imports nothing heavy."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bertslim.errors import SettingsError, UnavailableError
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.tensorrt.driver import find_device

if TYPE_CHECKING:
    from bertslim.model.slim import SlimModel

Array = npt.NDArray[np.generic]
Batch = Mapping[str, Array]
"""`input_ids`, `attention_mask` and perhaps `token_type_ids`: int64 (batch, length)."""
Outputs = dict[str, npt.NDArray[np.float32]]
"""`logits`, or `start_logits` and `end_logits`, or `last_hidden_state` and `pooler_output`."""


class Engine(Protocol):
    """A model made ready to run somewhere."""

    runtime: str
    precision: str

    def run(self, batch: Batch) -> Outputs:
        """Compute the outputs of one padded batch."""
        ...

    def close(self) -> None:
        """Give the memory back; the engine cannot run any more."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What is the same for all engines that are compared."""

    threads: int
    """CPU threads for one batch."""
    shapes: tuple[tuple[int, int], ...] = ()
    """(batch, length) that will be run; engines of one shape are built for these at once."""
    sm: str = ""
    """Compute capability to build for, such as "75"; empty: that of the GPU in this machine."""
    engines: Path | None = None
    """Directory that keeps engines which take long to build; None: they are built every time."""


@dataclass(frozen=True, slots=True)
class Source:
    """What engines are built from."""

    model: "SlimModel"
    graph: Callable[[str, str], bytes]
    """(runtime, precision) -> the model as an ONNX graph, for the runtimes that need one. It may
    raise UnavailableError: int8 needs ranges, say."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime that bertslim knows."""

    package: str
    """What Python imports it as."""
    module: str
    """Where its engine is written, as the function `build(source, precision, settings)`."""
    precisions: tuple[str, ...]
    install: str
    """The command that installs it."""
    gpu: bool = False
    """Whether it runs on a CUDA device, otherwise on the CPU."""


RUNTIMES: Mapping[str, Runtime] = {
    "torch": Runtime("torch", "bertslim.runtime.torch_", ("fp32", "bf16"), "pip install torch"),
    "onnxruntime": Runtime(
        "onnxruntime",
        "bertslim.runtime.onnxruntime_",
        ("fp32", "int8"),
        "pip install onnxruntime",
    ),
    "openvino": Runtime(
        "openvino",
        "bertslim.runtime.openvino_",
        ("fp32", "bf16", "int8"),
        "pip install 'bertslim[openvino]'",
    ),
    "tensorrt": Runtime(
        "tensorrt",
        "bertslim.runtime.tensorrt_",
        ("fp32", "fp16", "int8"),
        "pip install 'bertslim[tensorrt]'",
        gpu=True,
    ),
    "tensorrt-rtx": Runtime(
        "tensorrt_rtx",
        "bertslim.runtime.tensorrt_rtx_",
        ("fp32", "fp16", "int8"),
        "pip install 'bertslim[tensorrt-rtx]'",
        gpu=True,
    ),
}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")

NO_BF16 = "not available on this CPU (no AMX / AVX512-BF16)"
INSTEAD_OF_BF16 = "fp32 runs everywhere: bench --precision fp32, or bertslim fuse"


def check_names(runtimes: tuple[str, ...], precisions: tuple[str, ...]) -> None:
    """Refuse names that no engine has, before anything is loaded.

    Raises:
        SettingsError: If a runtime or a precision is unknown.
    """
    for flag, names, known in (
        ("--runtime", runtimes, tuple(RUNTIMES)),
        ("--precision", precisions, PRECISIONS),
    ):
        if unknown := [name for name in names if name not in known]:
            raise SettingsError(
                f"{flag} {','.join(unknown)} is unknown", f"known: {', '.join(known)}"
            )


def installed_runtimes() -> tuple[str, ...]:
    """Name the runtimes whose packages are there, without importing them."""
    return tuple(name for name, runtime in RUNTIMES.items() if _is_there(runtime.package))


def usual_runtimes() -> tuple[str, ...]:
    """Name the runtimes that this machine has the hardware for, installed or not."""
    try:
        find_device()
    except UnavailableError:
        return tuple(name for name, runtime in RUNTIMES.items() if not runtime.gpu)
    return tuple(RUNTIMES)


def _is_there(package: str) -> bool:
    """Whether a package is installed; a folder that other packages left behind has no origin."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def require(runtime: str) -> None:
    """Import what a runtime needs.

    Raises:
        UnavailableError: If its package is not installed.
    """
    _load(runtime)


def build(runtime: str, precision: str, source: Source, settings: EngineSettings) -> Engine:
    """Make a model ready to run.

    Raises:
        SettingsError: If the runtime or the precision is unknown.
        UnavailableError: If this machine lacks the package or the instructions, or the runtime
            lacks the precision. There is no silent fallback.
        CheckpointError: If the graph is a file that the runtime cannot read, or not bertslim's.
    """
    _refuse_unknown(runtime, precision)
    engine: Engine = _load(runtime).build(source, precision, settings)
    return engine


def kernels(
    runtime: str, precision: str, graph: bytes, settings: EngineSettings
) -> tuple[Kernel, ...]:
    """List what a runtime executes of a graph, in its order.

    The times are those at the first of `settings.shapes`; without shapes there are none.

    Raises:
        SettingsError, UnavailableError, CheckpointError: As `build`.
    """
    _refuse_unknown(runtime, precision)
    if runtime == "torch":
        raise UnavailableError("PyTorch runs a model, not a graph", "ask another runtime")
    found: tuple[Kernel, ...] = _load(runtime).kernels(graph, precision, settings)
    return found


def chosen_inputs(batch: Batch, names: Sequence[str]) -> dict[str, Array]:
    """Pick what a graph takes from a batch; token types that are not told apart are all 0."""
    return {
        name: batch[name] if name in batch else np.zeros_like(batch["input_ids"]) for name in names
    }


def _refuse_unknown(runtime: str, precision: str) -> None:
    check_names((runtime,), (precision,))
    if precision not in RUNTIMES[runtime].precisions:
        known = ", ".join(RUNTIMES[runtime].precisions)
        raise UnavailableError(f"{runtime} has no {precision}", f"it has: {known}")


def _load(runtime: str) -> Any:
    try:
        return importlib.import_module(RUNTIMES[runtime].module)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the package {error.name} is not installed", RUNTIMES[runtime].install
        ) from error
