"""ONNX Runtime on the CPU."""

import onnxruntime

from bertslim.runtime.engine import Batch, EngineSettings, Outputs, Source, chosen_inputs

SEVERE = 3
"""Log level: errors only. Warnings of the graph optimiser are no news to the user."""


class OnnxRuntimeEngine:
    """An inference session."""

    runtime = "onnxruntime"

    def __init__(self, session: onnxruntime.InferenceSession, precision: str) -> None:
        self.precision = precision
        self._session = session
        self._inputs = tuple(value.name for value in session.get_inputs())
        self._outputs = tuple(value.name for value in session.get_outputs())

    def run(self, batch: Batch) -> Outputs:
        """Compute the outputs of one padded batch."""
        results = self._session.run(self._outputs, chosen_inputs(batch, self._inputs))
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Let go of the session."""
        del self._session


def build(source: Source, precision: str, settings: EngineSettings) -> OnnxRuntimeEngine:
    """Optimise the graph for this CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SEVERE
    # Otherwise its threads spin on after a run, on the cores that the next candidate is timed on.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        source.graph("onnxruntime", precision), options, providers=["CPUExecutionProvider"]
    )
    return OnnxRuntimeEngine(session, precision)
