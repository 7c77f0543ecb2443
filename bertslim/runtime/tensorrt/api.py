"""The part of TensorRT's Python interface that bertslim uses, under TensorRT's own names.

`tensorrt` 10 and 11 and `tensorrt_rtx` share it. What only some of them have is marked, and asked
for by name where it is used, never by version number.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Enum = Any
"""A class of constants, or one of its members."""
Severity = Any
"""How bad a line of the log is; has a `name`."""


class ITensor(Protocol):
    """An input or output of a network."""

    name: str
    shape: Sequence[int]
    dtype: Enum


class INetworkDefinition(Protocol):
    """What the parser fills and the builder compiles."""

    num_inputs: int
    num_outputs: int

    def get_input(self, index: int) -> ITensor:
        """Return one input."""
        ...

    def get_output(self, index: int) -> ITensor:
        """Return one output."""
        ...


class ParserError(Protocol):
    """Why the parser refuses a node."""

    def desc(self) -> str:
        """Say what is wrong."""
        ...

    def node_name(self) -> str:
        """Name the node."""
        ...

    def node_operator(self) -> str:
        """Name its operator."""
        ...


class OnnxParser(Protocol):
    """Reads an ONNX graph into a network."""

    num_errors: int

    def parse(self, model: bytes) -> bool:
        """Read the graph; False if it is refused."""
        ...

    def get_error(self, index: int) -> ParserError:
        """Return one reason."""
        ...


class IOptimizationProfile(Protocol):
    """For which shapes of the inputs an engine is built."""

    def set_shape(
        self, name: str, least: Sequence[int], best: Sequence[int], most: Sequence[int], /
    ) -> None:
        """Bound the shape of one input."""
        ...


class IBuilderConfig(Protocol):
    """How an engine is built."""

    profiling_verbosity: Enum
    num_compute_capabilities: int
    """TensorRT-RTX only."""

    def clear_flag(self, flag: Enum) -> None:
        """Switch something off."""
        ...

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        """Add shapes to build for."""
        ...

    def set_compute_capability(self, capability: Enum, index: int) -> bool:
        """Choose the GPU to build for; TensorRT-RTX only."""
        ...


class Builder(Protocol):
    """Makes engines."""

    def create_network(self, flags: int) -> INetworkDefinition:
        """Make an empty network."""
        ...

    def create_builder_config(self) -> IBuilderConfig:
        """Make a configuration."""
        ...

    def create_optimization_profile(self) -> IOptimizationProfile:
        """Make an empty profile."""
        ...

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> "ReadableBuffer | None":
        """Compile; None if it cannot be done, and the log says why."""
        ...


class IRuntimeConfig(Protocol):
    """How an engine runs; TensorRT 11 and TensorRT-RTX."""

    dynamic_shapes_kernel_specialization_strategy: Enum
    """TensorRT-RTX only."""


class IExecutionContext(Protocol):
    """An engine with memory, ready to run."""

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        """Say how large an input is."""
        ...

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        """Return how large a tensor is, now that the inputs are known."""
        ...

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Say where a tensor lies on the device."""
        ...

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Put a run on a stream."""
        ...

    def is_stream_capturable(self, stream: int) -> bool:
        """Whether a run can be captured as a CUDA graph; TensorRT-RTX only."""
        ...


class ICudaEngine(Protocol):
    """A compiled network on a device."""

    num_io_tensors: int

    def get_tensor_name(self, index: int) -> str:
        """Name an input or output."""
        ...

    def get_tensor_mode(self, name: str) -> Enum:
        """Whether it is an input or an output."""
        ...

    def get_tensor_dtype(self, name: str) -> Enum:
        """Return its type."""
        ...

    def create_execution_context(self, *config: IRuntimeConfig) -> IExecutionContext | None:
        """Take memory to run in; TensorRT-RTX compiles its kernels here."""
        ...

    def create_runtime_config(self) -> IRuntimeConfig:
        """Make a configuration to run by; TensorRT 11 and TensorRT-RTX."""
        ...


class Runtime(Protocol):
    """Reads engines."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        """Read one; None if it cannot run here, and the log says why."""
        ...


class Module(Protocol):
    """`tensorrt` or `tensorrt_rtx`."""

    __version__: str
    ILogger: type[Any]
    Builder: Callable[[Any], Builder]
    OnnxParser: Callable[[INetworkDefinition, Any], OnnxParser]
    Runtime: Callable[[Any], Runtime]
    NetworkDefinitionCreationFlag: Enum
    BuilderFlag: Enum
    ProfilingVerbosity: Enum
    TensorIOMode: Enum
    ComputeCapability: Enum
    """Of what GPUs can be built for; TensorRT-RTX only."""
    DynamicShapesKernelSpecializationStrategy: Enum
    """When kernels are compiled for a shape; TensorRT-RTX only."""

    def nptype(self, trt_type: Enum) -> type[Any]:
        """Return numpy's type for TensorRT's."""
        ...
