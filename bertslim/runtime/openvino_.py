"""OpenVINO on the CPU."""

import openvino

from bertslim.errors import UnavailableError
from bertslim.model.running import OUTPUTS
from bertslim.runtime.engine import NO_BF16, Batch, EngineSettings, Outputs, Source, chosen_inputs

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16"}


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

    Raises:
        UnavailableError: If bf16 is asked for and the CPU has none: OpenVINO would take fp32.
    """
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise UnavailableError(NO_BF16, "use --precision fp32")
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": settings.threads,
    }
    graph = core.read_model(source.graph("openvino", precision))
    compiled = core.compile_model(graph, DEVICE, hints)
    return OpenVinoEngine(compiled, precision)
