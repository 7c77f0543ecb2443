"""Nothing is timed that was not compared first."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from bertslim.errors import SettingsError, UnavailableError
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertForSequenceClassification
from bertslim.runtime import comparison as comparing
from bertslim.runtime.comparison import Contender, Run, compare
from bertslim.runtime.engine import EngineSettings, Source
from bertslim.runtime.plan import Plan
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


def contender(name: str, *, scored: bool = True) -> Contender:
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

    source = Source(SlimBertForSequenceClassification(config), graph=lambda *_: b"")
    return Contender(name, source, 1000, score if scored else None)


def plan(*runtimes: str, lengths: tuple[int, ...] = (8,)) -> Plan:
    budget = Budget(seconds=0, warm_up=0, least_rounds=2)
    return Plan(runtimes, ("fp32",), (2,), lengths, EngineSettings(1), budget, seed=0)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch, errors: dict[str, float]) -> None:
    LOG.clear()

    def build(runtime: str, _precision: str, source: Source, _settings: object) -> FakeEngine:
        if runtime == "openvino":
            raise UnavailableError("the package openvino is not installed")
        return FakeEngine(source.model.config.name_or_path, runtime, errors[runtime])

    monkeypatch.setattr(comparing, "build", build)


@pytest.fixture
def errors() -> dict[str, float]:
    """How far off each runtime is."""
    return {"torch": 0.0, "onnxruntime": 0.5}


def test_compared_then_scored_then_timed_in_turns() -> None:
    compare([contender("big"), contender("small")], plan("torch"))
    preparing = [
        line
        for name in ("big", "small")
        for line in (*[f"{name}/torch compares"] * 2, f"{name} is scored")
    ]
    turns = [*["big/torch runs"] * 2, *["small/torch runs"] * 2]
    closing = ["big/torch closes", "small/torch closes"]
    assert preparing + turns * 2 + closing == LOG


def test_an_engine_that_differs_is_neither_scored_nor_timed() -> None:
    good, bad = compare([contender("big")], plan("torch", "onnxruntime")).rows
    assert "big/onnxruntime runs" not in LOG
    assert LOG.count("big is scored") == 1
    assert good.latency is not None
    assert (bad.latency, bad.accuracy, bad.difference, bad.differs) == (None, None, 0.5, True)
    assert bad.reason == "differs from PyTorch fp32 by 0.5, allowed are 0.001"


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_differ_without_a_difference(
    error: float, errors: dict[str, float]
) -> None:
    errors["onnxruntime"] = error
    found = compare([contender("big")], plan("torch", "onnxruntime"))
    _, bad = found.rows
    assert (bad.latency, bad.accuracy, bad.difference, bad.differs) == (None, None, None, True)
    assert bad.reason == "outputs are not finite numbers"
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["rows"][1]["difference"] is None


def test_what_is_unavailable_is_a_row_that_says_why() -> None:
    good, absent = compare([contender("big")], plan("torch", "openvino")).rows
    assert good.reason == ""
    assert absent.reason == "the package openvino is not installed"
    assert (absent.latency, absent.differs) == (None, False)
    assert (absent.difference, absent.allowed_difference) == (None, None)


def test_nothing_available_at_all_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="openvino fp32: the package openvino is not"):
        compare([contender("big")], plan("openvino"))


def test_too_long_for_the_positions_is_refused_before_anything_is_built() -> None:
    with pytest.raises(SettingsError, match="big takes 16, not 17"):
        compare([contender("big")], plan("torch", lengths=(8, 17)))
    assert LOG == []


def test_rows_are_in_the_order_of_shape_checkpoint_runtime_and_become_json() -> None:
    contenders = [contender("big", scored=False), contender("small", scored=False)]
    found = compare(contenders, plan("torch", "openvino", lengths=(4, 8)))
    assert [(r.length, r.checkpoint, r.runtime) for r in found.rows] == [
        (length, name, runtime)
        for length in (4, 8)
        for name in ("big", "small")
        for runtime in ("torch", "openvino")
    ]
    saved = json.loads(json.dumps(found.as_json()))
    assert saved.keys() == {"format", "rows", "plan", "machine"}
    assert len(saved["rows"][0]["latency"]["times"]) == 2
    assert saved["rows"][0]["accuracy"] is None
    assert saved["plan"]["engine"] == {"threads": 1}
    assert saved["machine"]["versions"]["torch"] == torch.__version__


def test_the_first_row_of_each_shape_is_what_the_ratio_is_relative_to() -> None:
    rows = compare([contender("big"), contender("small")], plan("torch", lengths=(4, 8))).rows
    firsts = [r.latency.speedup for r in rows if r.latency and r.checkpoint == "big"]
    assert firsts == [1.0, 1.0]
