"""Nothing is timed that was not compared first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from bertslim.errors import SettingsError, UnavailableError
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertForSequenceClassification
from bertslim.runtime import contenders
from bertslim.runtime.comparison import compare
from bertslim.runtime.contenders import Contender, Run
from bertslim.runtime.engine import EngineSettings, Source
from bertslim.runtime.footprint import Job
from bertslim.runtime.kernels import Kernel
from bertslim.runtime.plan import Cell, Plan
from bertslim.runtime.shape import Lengths, Shape
from bertslim.runtime.timing import Budget
from bertslim.train.prediction import Score

LOG: list[str] = []


class FakeEngine:
    """Adds an error to zeros, and notes what it is asked for."""

    def __init__(self, name: str, runtime: str, error: float) -> None:
        self.runtime, self.precision = runtime, "fp32"
        self._name, self._error = f"{name}/{runtime}", error

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        padded = bool((batch["attention_mask"] == 0).any())
        LOG.append(f"{self._name} {'compares' if padded else 'runs'}")
        return {"logits": np.full((len(batch["input_ids"]), 2), self._error, np.float32)}

    def close(self) -> None:
        LOG.append(f"{self._name} closes")


def contender(name: str, *runtimes: str, scored: bool = True) -> Contender:
    torch.manual_seed(0)
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        name_or_path=name,
    )

    def score(_run: Run) -> Score:
        LOG.append(f"{name} is scored")
        return Score({"accuracy": 0.9}, "accuracy", 0.9, 0.8, 1.0, 50)

    cells = tuple(Cell(runtime, "fp32") for runtime in runtimes or ("torch",))
    model = SlimBertForSequenceClassification(config)
    directory, graph = Path("models") / name, name.encode()
    return Contender(
        name, model, directory, lambda *_: graph, cells, 1000, score if scored else None
    )


def plan(lengths: tuple[int | Literal["task"], ...] = (8,)) -> Plan:
    budget = Budget(seconds=0, warm_up=0, least_rounds=2)
    return Plan(("torch",), ("fp32",), (2,), lengths, EngineSettings(1), budget, 0, memory=False)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch, errors: dict[str, float]) -> None:
    LOG.clear()

    def build(runtime: str, _precision: str, source: Source, _settings: object) -> FakeEngine:
        if runtime == "openvino":
            raise UnavailableError("the package openvino is not installed")
        return FakeEngine(source.model.config.name_or_path, runtime, errors[runtime])

    monkeypatch.setattr(contenders, "build", build)
    monkeypatch.setattr("bertslim.runtime.machine.busy_cpus", lambda: 0.0)


@pytest.fixture
def errors() -> dict[str, float]:
    """How far off each runtime is."""
    return {"torch": 0.0, "onnxruntime": 0.5}


def test_compared_then_scored_then_timed_in_turns() -> None:
    compare([contender("big"), contender("small")], plan())
    preparing = [
        line
        for name in ("big", "small")
        for line in (*[f"{name}/torch compares"] * 2, f"{name} is scored")
    ]
    turns = [*["big/torch runs"] * 2, *["small/torch runs"] * 2]
    closing = ["big/torch closes", "small/torch closes"]
    assert preparing + turns * 2 + closing == LOG


def test_an_engine_that_differs_is_neither_scored_nor_timed() -> None:
    good, bad = compare([contender("big", "torch", "onnxruntime")], plan()).rows
    assert "big/onnxruntime runs" not in LOG
    assert LOG.count("big is scored") == 1
    assert good.latency is not None
    assert (bad.latency, bad.accuracy, bad.difference) == (None, None, 0.5)
    assert bad.outcome == "differs"
    assert bad.reason == "differs from PyTorch fp32 by 0.5, allowed are 0.001"


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_differ_without_a_difference(
    error: float, errors: dict[str, float]
) -> None:
    errors["onnxruntime"] = error
    found = compare([contender("big", "torch", "onnxruntime")], plan())
    _, bad = found.rows
    assert (bad.latency, bad.accuracy, bad.difference) == (None, None, None)
    assert bad.outcome == "differs"
    assert bad.reason == "outputs are not finite numbers"
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["rows"][1]["difference"] is None


def test_what_is_unavailable_is_a_row_that_says_why() -> None:
    good, absent = compare([contender("big", "torch", "openvino")], plan()).rows
    assert good.reason == ""
    assert absent.reason == "the package openvino is not installed"
    assert (absent.latency, absent.outcome) == (None, "unavailable")
    assert (absent.difference, absent.allowed_difference) == (None, None)


def test_nothing_available_at_all_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="big on openvino fp32: the package openvino is not"):
        compare([contender("big", "openvino")], plan())


def test_too_long_for_the_positions_is_refused_before_anything_is_built() -> None:
    with pytest.raises(SettingsError, match="big takes 16, not 17"):
        compare([contender("big")], plan((8, 17)))
    assert LOG == []


def test_rows_are_in_the_order_of_shape_checkpoint_runtime_and_become_json() -> None:
    pair = [contender(name, "torch", "openvino", scored=False) for name in ("big", "small")]
    found = compare(pair, plan((4, 8)))
    assert [(r.shape.length, r.checkpoint, r.runtime) for r in found.rows] == [
        (length, name, runtime)
        for length in (4, 8)
        for name in ("big", "small")
        for runtime in ("torch", "openvino")
    ]
    saved = json.loads(json.dumps(found.as_json()))
    assert saved.keys() == {"format", "rows", "breakdowns", "plan", "machine", "created"}
    assert len(saved["rows"][0]["latency"]["times"]) == 2
    assert saved["rows"][0]["accuracy"] is None
    assert saved["rows"][0]["shape"] == {"batch_size": 2, "length": 4}
    assert saved["plan"]["engine"]["threads"] == 1
    assert saved["machine"]["versions"]["torch"] == torch.__version__


def test_the_first_row_of_each_shape_is_what_the_ratio_is_relative_to() -> None:
    rows = compare([contender("big"), contender("small")], plan((4, 8))).rows
    firsts = [r.latency.speedup for r in rows if r.latency and r.checkpoint == "big"]
    assert firsts == [1.0, 1.0]


def test_what_a_deployment_was_not_made_for_is_not_even_built() -> None:
    deployed = replace(contender("small"), cells=(Cell("torch", "fp32", "made for openvino int8"),))
    _, row = compare([contender("big"), deployed], plan()).rows
    assert (row.outcome, row.reason) == ("unavailable", "made for openvino int8")
    # once as the reference of big, once as its engine
    assert LOG.count("big/torch compares") == 2
    assert not [line for line in LOG if line.startswith("small")]


def test_rows_of_a_task_are_compared_and_timed_as_they_come() -> None:
    masks = [np.array([[1, 1, 1, 1], [1, 1, 0, 0]]), np.array([[1, 1], [1, 1]])]
    batches = [{"input_ids": mask, "attention_mask": mask} for mask in masks]
    asked = []

    def traffic(size: int) -> list[dict[str, np.ndarray]]:
        asked.append(size)
        return batches

    (row,) = compare([replace(contender("big"), traffic=traffic)], plan(("task",))).rows
    assert asked == [2]
    # both batches: by the reference, by the engine, and in the two runs of each of two rounds
    runs = [line for line in LOG if line in ("big/torch compares", "big/torch runs")]
    assert len(runs) == 2 * (1 + 1 + 4)
    assert row.shape == Shape(2, "task")
    assert row.lengths == Lengths(mean=2.5, longest=4, padding=pytest.approx(2 / 12))
    assert row.latency is not None


def test_memory_is_measured_of_what_is_going_to_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []

    def peak(job: Job, passes: Sequence[Sequence[Mapping[str, np.ndarray]]]) -> list[int]:
        loaded = job.model if job.runtime == "torch" else Path(job.model).read_bytes()
        shapes = [batch["input_ids"].shape for batches in passes for batch in batches]
        jobs.append((job.runtime, loaded, shapes))
        return [10**6 * len(jobs), 10**9 * len(jobs)]

    errors = {"torch": 0.0, "onnxruntime": 0.0}
    monkeypatch.setattr(contenders, "peak_bytes", peak)
    monkeypatch.setattr(
        contenders, "build", lambda runtime, *_: FakeEngine("big", runtime, errors[runtime])
    )
    weighed = replace(plan((4, 8)), memory=True)
    found = compare([contender("big", "torch", "onnxruntime")], weighed).rows
    shapes = [(2, 4), (2, 8)]
    assert jobs == [("torch", "models/big", shapes), ("onnxruntime", b"big", shapes)]
    assert [row.peak_bytes for row in found] == [10**6, 2 * 10**6, 10**9, 2 * 10**9]
    errors["onnxruntime"] = 0.5
    jobs.clear()
    compare([contender("big", "onnxruntime")], weighed)
    assert jobs == []


def test_memory_that_cannot_be_measured_is_a_word_and_an_empty_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise UnavailableError("the process ended with code -9: it says nothing")

    monkeypatch.setattr(contenders, "peak_bytes", fail)
    (row,) = compare([contender("big")], replace(plan(), memory=True)).rows
    assert (row.peak_bytes, row.outcome) == (None, "timed")
    said = "warning: big: the memory of torch is unknown: the process ended with code -9"
    assert said in capsys.readouterr().err


def test_company_and_too_many_threads_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bertslim.runtime.machine.busy_cpus", lambda: 1.0)
    monkeypatch.setattr("bertslim.runtime.machine.usable_cpus", lambda: (0,))
    compare([contender("big")], replace(plan(), engine=EngineSettings(3)))
    assert capsys.readouterr().err.splitlines() == [
        "warning: others keep 1.0 of 1 CPUs busy: times will scatter",
        "warning: --threads 3, but only 1 core that this process may keep busy",
    ]


def test_runtimes_that_agree_are_asked_where_the_time_goes(
    monkeypatch: pytest.MonkeyPatch, errors: dict[str, float]
) -> None:
    asked = []

    def kernels(
        runtime: str, precision: str, graph: bytes, settings: EngineSettings
    ) -> tuple[Kernel, ...]:
        asked.append((runtime, precision, graph, settings.shapes))
        return (Kernel("k", "MatMul", precision, ("bert.pooler/matmul",), 0.5),)

    monkeypatch.setattr(contenders, "kernels", kernels)
    errors["onnxruntime"] = 0.0
    taken = replace(plan((4, 8)), breakdown=True)
    (part,) = compare([contender("big", "torch", "onnxruntime", "openvino")], taken).breakdowns
    assert asked == [("onnxruntime", "fp32", b"big", ((2, 8),))]
    assert (part.checkpoint, part.runtime, part.shape) == ("big", "onnxruntime", Shape(2, 8))
    assert part.milliseconds["GEMM"] == 0.5
    errors["onnxruntime"] = 0.5
    assert compare([contender("big", "torch", "onnxruntime")], taken).breakdowns == ()
