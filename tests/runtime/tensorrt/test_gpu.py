"""What only an NVIDIA GPU can show. Nothing here has an effect where there is none."""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bertslim.graph.emit import emit
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.runtime import agreement
from bertslim.runtime.engine import RUNTIMES, EngineSettings, Outputs, Source, build
from bertslim.runtime.tensorrt.driver import find_device
from bertslim.runtime.tensorrt.engine import TensorRtEngine
from bertslim.runtime.tensorrt.findings import findings
from bertslim.runtime.tensorrt.memory import PyCuda, TorchCuda
from bertslim.runtime.tensorrt.timing import Budget, Switches
from tests.runtime.tensorrt.worlds import FP16, int8, random_model

pytestmark = pytest.mark.gpu

SHAPES = ((3, 17), (1, 40))
BRIEF = Budget(warm_up_ms=50, seconds=0.2, queries=20)
# the same int8 graph is computed on both sides, so int8 differs by rounding alone
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}


@pytest.fixture(params=[name for name, runtime in RUNTIMES.items() if runtime.gpu])
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(RUNTIMES[name].package) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture(params=["fp32", "fp16", "int8"])
def engine(runtime: str, request: pytest.FixtureRequest) -> Iterator[TensorRtEngine]:
    precision: str = request.param
    if runtime == "tensorrt-rtx" and precision == "fp32" and find_device().sm == "75":
        pytest.skip("TensorRT-RTX builds no fp32 products for Turing")
    settings = EngineSettings(threads=1, shapes=SHAPES)
    made = build(runtime, precision, source_of(random_model()), settings)
    assert isinstance(made, TensorRtEngine)
    yield made
    made.close()


def source_of(model: SlimBertPreTrainedModel) -> Source:
    forms = {"fp16": FP16, "int8": int8(model)}

    def graph(_: str, precision: str) -> bytes:
        form = forms.get(precision)
        return (emit(model, form) if form else emit(model)).SerializeToString()

    return Source(model, graph)


def on_the_cpu(engine: TensorRtEngine, batch: dict[str, agreement.Array]) -> Outputs:
    """What ONNX Runtime computes from the very same graph."""
    same = Source(random_model(), lambda *_: engine.workshop.graph)
    return build("onnxruntime", "fp32", same, EngineSettings(threads=1)).run(batch)


def test_engines_compute_what_onnx_runtime_computes(engine: TensorRtEngine) -> None:
    config = random_model().config
    # known shapes first, then one that fits into none of them, then one that does
    for size, length in (*SHAPES, (5, 70), (2, 12)):
        batch = agreement.padded_batch(config, size, length, seed=size)
        outputs, expected = engine.run(batch), on_the_cpu(engine, batch)
        allowed = (
            TOLERANCE[engine.precision] * agreement.allowed_difference("fp32", expected) / 1e-3
        )
        assert outputs["logits"].shape == expected["logits"].shape
        assert agreement.largest_difference(outputs, expected, batch) < allowed
    assert set(engine.sessions) == {*SHAPES, (8, 128)}


def test_outputs_of_one_batch_outlive_the_next(engine: TensorRtEngine) -> None:
    config = random_model().config
    first = engine.run(agreement.full_batch(config, *SHAPES[0], seed=0))
    copy = first["logits"].copy()
    engine.run(agreement.full_batch(config, *SHAPES[0], seed=1))
    assert (first["logits"] == copy).all()


def test_an_engine_is_captured_and_computes_the_same(engine: TensorRtEngine) -> None:
    batch = agreement.padded_batch(random_model().config, *SHAPES[0], seed=0)
    session = engine.prepare(SHAPES[0])
    assert session.captured, session.not_captured
    captured = engine.run(batch)
    session.release()
    assert agreement.largest_difference(engine.run(batch), captured, batch) == 0


@pytest.mark.parametrize(
    "switches",
    [Switches(), Switches(graph=False), Switches(transfers=False), Switches(spin=False)],
)
def test_times_are_taken(engine: TensorRtEngine, switches: Switches) -> None:
    batch = agreement.full_batch(random_model().config, *SHAPES[0], seed=0)
    found = engine.measure(batch, switches, BRIEF)
    assert replace(found.switches, graph=switches.graph) == switches
    assert len(found.queries) >= BRIEF.queries
    assert all(query.compute > 0 for query in found.queries)
    assert found.wall_seconds >= BRIEF.seconds


def test_what_the_times_depend_on_is_recorded(engine: TensorRtEngine) -> None:
    facts = engine.facts(SHAPES[0])
    assert facts["device"]["sm"] == find_device().sm
    assert facts["engine_bytes"] > 0
    json.dumps(facts)


def test_the_builder_did_what_the_graph_hoped_for(engine: TensorRtEngine) -> None:
    built = engine.built[SHAPES[0]]
    found = findings(engine.workshop.graph, built.layers)
    assert not {f.kind for f in found} & {"not int8", "weights dequantized at run time"}


@pytest.mark.parametrize("library", [PyCuda, TorchCuda])
def test_memory_goes_there_and_back(library: type[PyCuda] | type[TorchCuda]) -> None:
    if library is PyCuda and importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed")
    import numpy as np

    cuda = library()
    stream, begin, end = cuda.stream(), cuda.event(), cuda.event()
    sent, received = cuda.pinned((4, 5), np.int64), cuda.pinned((4, 5), np.int64)
    sent[...] = np.arange(20).reshape(4, 5)
    received[...] = 0
    buffer = cuda.buffer(sent.nbytes)
    begin.record(stream)
    cuda.upload(buffer, sent, stream)
    cuda.download(received, buffer, stream)
    end.record(stream)
    end.wait()
    assert end.has_passed()
    assert end.milliseconds_since(begin) >= 0
    np.testing.assert_array_equal(received, sent)


def test_an_engine_for_another_gpu_is_not_run(runtime: str) -> None:
    from bertslim.errors import UnavailableError

    other = "75" if find_device().sm != "75" else "86"
    settings = EngineSettings(threads=1, sm=other)
    with pytest.raises(UnavailableError, match=f"an engine for SM{other} does not run on this"):
        build(runtime, "fp16", source_of(random_model()), settings)
