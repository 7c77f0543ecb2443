"""Engines of a GPU: built for one that is elsewhere, or timed by their own clock."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bertslim.errors import SettingsError, UnavailableError
from bertslim.graph.emit import emit
from bertslim.runtime import contenders
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.comparison import compare
from bertslim.runtime.contenders import Contender
from bertslim.runtime.engine import EngineSettings, Source
from bertslim.runtime.gpu import build_elsewhere
from bertslim.runtime.plan import Cell, Plan
from bertslim.runtime.rows import GpuEngine
from bertslim.runtime.shape import Shape
from bertslim.runtime.table import comparison_text
from bertslim.runtime.tensorrt.driver import NO_DEVICE
from bertslim.runtime.tensorrt.timing import Budget as GpuBudget
from bertslim.runtime.tensorrt.timing import Measurement, Query, Switches
from bertslim.runtime.timing import Budget
from bertslim.runtime.turns import Racer
from tests.runtime.fakes import comparison, row
from tests.runtime.tensorrt.worlds import FP16, builds, random_model

SHAPE = Shape(2, 16)
SETTINGS = EngineSettings(threads=1)
BUILT = GpuEngine("75", 28_900_000, 41_000_000, 67, 3.21, ("attention not fused: a and 2 more",))


class FakeEngine:
    """An engine with a clock: every batch takes two queries, 1 ms longer each time."""

    runtime, precision = "tensorrt", "fp32"

    def __init__(self) -> None:
        self.milliseconds = 10.0

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": np.zeros((len(batch["input_ids"]), 2), np.float32)}

    def measure(self, *_: object) -> Measurement:
        compute = self.milliseconds
        self.milliseconds += 1
        queries = [Query(enqueue=9, upload=0.25, compute=c, download=0.25) for c in (compute,) * 2]
        return Measurement(Switches(), tuple(queries), wall_seconds=0.02)

    def close(self) -> None:
        pass


def test_the_gpu_times_itself_and_warm_up_is_left_out() -> None:
    batch = {"input_ids": np.ones((2, 8))}
    racer = Racer(FakeEngine(), [batch, batch])
    turn = racer.turn()
    # two batches a turn: 10.5 and 11.5, then 12.5 and 13.5, then 14.5 and 15.5
    assert [turn(), turn(), turn()] == [11.0, 13.0, 15.0]
    found = racer.measurement(rounds=2)
    assert found is not None
    assert [query.latency for query in found.queries] == [12.5, 12.5, 13.5, 13.5, 14.5, 14.5] + (
        [15.5] * 2
    )
    latency = racer.latency([13.0, 15.0], [26.0, 60.0], batch_size=7)
    assert latency.times == (13.0, 15.0)
    assert (latency.p50, latency.mean, latency.p99) == (14.0, 14.0, 15.5)
    assert latency.sequences_per_second == 500
    assert (latency.speedup_low, latency.speedup_high) == pytest.approx((2.2, 3.8))


def test_engines_of_the_cpu_are_timed_by_the_host() -> None:
    runs = []
    engine = SimpleNamespace(run=runs.append, runtime="torch")
    racer = Racer(engine, ["a", "b"])
    assert racer.turn()() >= 0
    assert runs == ["a", "b"] * 2
    assert racer.measurement(rounds=1) is None


def contender(*cells: Cell, graph: bytes = b"") -> Contender:
    model = random_model(num_hidden_layers=1)
    return Contender("big", model, Path("big"), lambda *_: graph, cells, 1000)


def plan(*, sm: str = "", engines: Path | None = None) -> Plan:
    settings = EngineSettings(1, sm=sm, engines=engines)
    return Plan(("torch",), ("fp16",), (2,), (16,), settings, Budget(0, 0, 2), 0, memory=False)


def test_a_timed_row_has_every_query_and_becomes_json(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = []

    def build(runtime: str, _precision: str, _source: Source, given: EngineSettings) -> FakeEngine:
        settings.append((runtime, given.shapes))
        return FakeEngine()

    monkeypatch.setattr(contenders, "build", build)
    monkeypatch.setattr("bertslim.runtime.gpu.described_here", lambda *_: {SHAPE: BUILT})
    found = compare([contender(Cell("tensorrt", "fp32"))], plan(engines=Path("kept")))
    assert settings == [("torch", ()), ("tensorrt", ((2, 16),))]
    (timed,) = found.rows
    assert (timed.outcome, timed.peak_bytes, timed.build_seconds) == ("timed", 41_000_000, 3.21)
    assert timed.latency is not None
    assert timed.latency.times == (10.5, 11.5)
    saved = json.loads(json.dumps(found.as_json()))
    assert len(saved["rows"][0]["gpu"]["measurement"]["queries"]) == 4
    assert saved["plan"]["engine"]["engines"] == "kept"


def test_what_is_elsewhere_is_built_and_not_timed() -> None:
    built = row("big", [5.0]), row(runtime="tensorrt-rtx", reason=NO_DEVICE, outcome="built")
    text = comparison_text(comparison(built[0], replace(built[1], gpu=BUILT)), 120).plain
    said = "built, not timed: no CUDA device (SM75, 28.9 MB, 67 layers, 3.2 s)"
    assert f"  tensorrt-rtx fp32  {said}" in text.splitlines()
    assert "big on tensorrt-rtx fp32: attention not fused: a and 2 more" in text.splitlines()


@builds
@pytest.mark.no_gpu
def test_the_builder_builds_for_the_gpu_that_was_asked_for(tmp_path: Path) -> None:
    graph = emit(random_model(num_hidden_layers=1), FP16).SerializeToString()
    asked = contender(Cell("tensorrt-rtx", "fp16", sm="86"), Cell("torch", "fp32"), graph=graph)
    deployed, torch = compare([asked], plan(engines=tmp_path)).rows
    assert (deployed.outcome, deployed.reason, deployed.latency) == ("built", NO_DEVICE, None)
    assert deployed.gpu is not None
    assert deployed.gpu.sm == "86"
    assert deployed.gpu.engine_bytes > 0
    assert deployed.gpu.layers > 0
    assert torch.outcome == "timed"
    assert len(list(tmp_path.iterdir())) == 2
    here, _ = compare([asked], plan(sm="75")).rows
    assert here.gpu is not None
    assert here.gpu.sm == "75"


@builds
@pytest.mark.no_gpu
def test_what_the_builder_refuses_is_a_row_that_says_why() -> None:
    graph = emit(random_model(num_hidden_layers=1)).SerializeToString()
    cells = Cell("torch", "fp32"), Cell("tensorrt-rtx", "fp32")
    _, refused = compare([contender(*cells, graph=graph)], plan(sm="75")).rows
    assert (refused.outcome, refused.gpu) == ("unavailable", None)
    assert "builds no fp32 matrix products for SM75" in refused.reason


@builds
def test_an_unknown_gpu_is_refused() -> None:
    graph = emit(random_model(num_hidden_layers=1), FP16).SerializeToString()
    settings = replace(SETTINGS, sm="999")
    with pytest.raises(SettingsError, match="SM999"):
        build_elsewhere(Cell("tensorrt-rtx", "fp16"), graph, {SHAPE: (2, 16)}, settings)


def test_what_cannot_be_built_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    flavour = SimpleNamespace(builds_for_others=False, name="TensorRT 10.4", runtime="tensorrt")
    monkeypatch.setattr("bertslim.runtime.gpu.load_flavour", lambda _: flavour)
    with pytest.raises(UnavailableError, match=r"TensorRT 10\.4 needs a CUDA device"):
        build_elsewhere(Cell("tensorrt", "fp16"), b"", {SHAPE: (2, 16)}, SETTINGS)


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_a_gpu_takes_its_turns(runtime: str) -> None:
    pytest.importorskip(runtime.replace("-", "_"))
    model = random_model(num_hidden_layers=1)
    graph = emit(model, FP16).SerializeToString()
    settings = EngineSettings(threads=1, shapes=((2, 16),))
    engine = contenders.build(runtime, "fp16", Source(model, lambda *_: graph), settings)
    racer = Racer(engine, [full_batch(model.config, 2, 16, seed=0)])
    assert racer.turn()() > 0
    found = racer.measurement(rounds=1)
    assert found is not None
    assert len(found.queries) >= GpuBudget(queries=10).queries
