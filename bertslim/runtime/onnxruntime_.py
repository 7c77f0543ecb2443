"""ONNX Runtime on the CPU."""

import tempfile
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from bertslim.runtime.engine import Batch, EngineSettings, Outputs, Source, chosen_inputs
from bertslim.runtime.graphs import refuse_foreign, unreadable
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.machine import cpu_flags

SEVERE = 3
"""Log level: errors only. Warnings of the graph optimiser are no news to the user."""
REFUSALS = (
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NotImplemented,
    faults.RuntimeException,
)
"""What opening a graph may raise; they have no class of their own in common."""
SWITCHES = {
    # Otherwise its threads spin on after a run, on the cores that the next candidate is timed on.
    "session.force_spinning_stop": "1",
}
WITHOUT_VNNI = {
    # Sums of unsigned by signed products would be clipped at 16 bits. This makes the weights
    # unsigned too: right, and slower. It does so on a CPU with VNNI as well, at 0.4 of the speed.
    "session.x64quantprecision": "1",
}
VNNI = {"avx512_vnni", "avx_vnni"}


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
    """Optimise the graph for this CPU.

    Raises:
        CheckpointError: If the graph cannot be read, or is none of a BERT.
    """
    graph = source.graph("onnxruntime", precision)
    return OnnxRuntimeEngine(open_session(graph, session_options(settings)), precision)


def kernels(graph: bytes, _precision: str, settings: EngineSettings) -> tuple[Kernel, ...]:
    """List what ONNX Runtime executes, with times if `settings.shapes` says for which batch.

    Raises:
        CheckpointError: As `build`.
    """
    # engines do not need what reads ONNX
    from bertslim.runtime.onnxruntime_kernels import list_kernels, mean_times

    options = session_options(settings)
    with tempfile.TemporaryDirectory(prefix="bertslim-") as folder:
        optimised = Path(folder, "optimised.onnx")
        options.optimized_model_filepath = str(optimised)
        options.profile_file_prefix = str(Path(folder, "profile"))
        options.enable_profiling = bool(settings.shapes)
        session = open_session(graph, options)
        times = mean_times(session, settings.shapes[0]) if settings.shapes else {}
        return list_kernels(graph, optimised, times)


def session_options(settings: EngineSettings) -> onnxruntime.SessionOptions:
    """Return what sessions have in common."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SEVERE
    switches = SWITCHES if VNNI.intersection(cpu_flags()) else SWITCHES | WITHOUT_VNNI
    for name, value in switches.items():
        options.add_session_config_entry(name, value)
    return options


def open_session(graph: bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU; see `build`."""
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        raise unreadable("ONNX Runtime", error) from error
    refuse_foreign([i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()])
    return session
