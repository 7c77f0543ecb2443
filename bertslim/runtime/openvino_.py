"""OpenVINO on the CPU."""

import functools

import openvino

from bertslim.errors import UnavailableError
from bertslim.model.signature import INPUTS, OUTPUTS
from bertslim.runtime.engine import (
    INSTEAD_OF_BF16,
    NO_BF16,
    Batch,
    EngineSettings,
    Outputs,
    Source,
    chosen_inputs,
)
from bertslim.runtime.graphs import refuse_foreign, unreadable
from bertslim.runtime.kernels import Kernel

DEVICE = "CPU"


class OpenVinoEngine:
    """A compiled model with one inference request."""

    runtime = "openvino"

    def __init__(self, compiled: openvino.CompiledModel, precision: str) -> None:
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._inputs = tuple(port.any_name for port in compiled.inputs)
        # a port has the names of all values that turned out to be the same
        self._outputs = tuple(
            next(name for name in OUTPUTS if name in port.names) for port in compiled.outputs
        )

    def run(self, batch: Batch) -> Outputs:
        """Compute the outputs of one padded batch."""
        results = self._request.infer(chosen_inputs(batch, self._inputs))
        return dict(zip(self._outputs, results.to_tuple(), strict=True))

    def close(self) -> None:
        """Let go of the compiled model."""
        del self._request


def build(source: Source, precision: str, settings: EngineSettings) -> OpenVinoEngine:
    """Compile the graph for the least latency, in exactly the precision that was asked for.

    What an int8 graph leaves in float is computed in bf16 where the CPU has it: that is faster, and
    its rounding is lost in that of int8.

    Raises:
        UnavailableError: If bf16 is asked for and the CPU has none: OpenVINO would take fp32.
        CheckpointError: If the graph cannot be read, or is none of a BERT.
    """
    graph = source.graph("openvino", precision)
    return OpenVinoEngine(compile_graph(graph, precision, settings), precision)


def kernels(graph: bytes, precision: str, settings: EngineSettings) -> tuple[Kernel, ...]:
    """List what OpenVINO executes, with times if `settings.shapes` says for which batch.

    Raises:
        UnavailableError, CheckpointError: As `build`.
    """
    # engines do not need what reads ONNX
    from bertslim.runtime.openvino_kernels import list_kernels

    # counting takes time, so engines do without
    compiled = compile_graph(graph, precision, settings, PERF_COUNT=bool(settings.shapes))
    return list_kernels(compiled, graph, settings.shapes[:1])


def compile_graph(
    graph: bytes | str, precision: str, settings: EngineSettings, **properties: object
) -> openvino.CompiledModel:
    """Compile a graph, or the file of one, for this CPU; see `build`."""
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": float_type(precision),
        "INFERENCE_NUM_THREADS": settings.threads,
        **properties,
    }
    try:
        model = only_core().read_model(graph)
        refuse_foreign(_names(model.inputs, INPUTS), _names(model.outputs, OUTPUTS))
        return only_core().compile_model(model, DEVICE, hints)
    except RuntimeError as error:
        raise unreadable("OpenVINO", error) from error


@functools.cache
def only_core() -> openvino.Core:
    """Return the one core of this process, which stays to its end.

    A core's CPU plugin gives the thread another stack for signal handlers, and puts the one before
    back when it goes. Of two that go in the order in which they came, the second puts back a stack
    that the first has given away: the next signal, a Ctrl-C, is then a crash.
    """
    return openvino.Core()


def float_type(precision: str) -> str:
    """Choose what OpenVINO computes all floats in.

    Raises:
        UnavailableError: If bf16 is asked for and the CPU has none.
    """
    has_bf16 = "BF16" in only_core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not has_bf16:
        raise UnavailableError(NO_BF16, INSTEAD_OF_BF16)
    return "bf16" if has_bf16 and precision != "fp32" else "f32"


def _names(ports: list[openvino.Output], known: tuple[str, ...]) -> list[str]:
    """Name each port, by one of the names that are known if it has several."""
    return [next((n for n in known if n in port.names), port.any_name) for port in ports]
