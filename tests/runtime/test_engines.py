"""Every runtime computes the same; what a machine lacks is said and never replaced."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bertslim.errors import SettingsError, UnavailableError
from bertslim.graph.emit import emit
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertForSequenceClassification
from bertslim.runtime import agreement
from bertslim.runtime.engine import (
    RUNTIMES,
    EngineSettings,
    Source,
    build,
    check_names,
    installed_runtimes,
    usual_runtimes,
)

SETTINGS = EngineSettings(threads=1)
ON_CPU = [name for name, runtime in RUNTIMES.items() if not runtime.gpu]


@pytest.fixture(scope="module")
def source() -> Source:
    torch.manual_seed(0)
    config = SlimBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
        initializer_range=0.3,
        pooler_activation="tanh",
    )
    model = SlimBertForSequenceClassification(config)
    return Source(model, graph=lambda *_: emit(model).SerializeToString())


@pytest.mark.parametrize("runtime", ON_CPU)
def test_engines_agree_and_remember_no_batch(runtime: str, source: Source) -> None:
    engine = build(runtime, "fp32", source, SETTINGS)
    reference = build("torch", "fp32", source, SETTINGS)
    assert (engine.runtime, engine.precision) == (runtime, "fp32")
    for size, length in ((3, 9), (1, 20), (3, 9)):
        batch = agreement.padded_batch(source.model.config, size, length, seed=size)
        outputs, expected = engine.run(batch), reference.run(batch)
        assert outputs.keys() == {"logits"}
        assert agreement.largest_difference(outputs, expected, batch) < 1e-5
    engine.close()


@pytest.mark.parametrize("runtime", ON_CPU)
def test_token_types_are_zero_unless_given(runtime: str, source: Source) -> None:
    engine = build(runtime, "fp32", source, SETTINGS)
    batch = agreement.full_batch(source.model.config, 2, 5, seed=0)
    zeros = engine.run(batch)["logits"].copy()
    del batch["token_type_ids"]
    np.testing.assert_array_equal(engine.run(batch)["logits"], zeros)


def test_threads_are_what_was_asked_for(source: Source) -> None:
    build("torch", "fp32", source, EngineSettings(threads=1))
    assert torch.get_num_threads() == 1


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="--runtime foo is unknown") as caught:
        check_names(("torch", "foo"), ("fp32",))
    assert caught.value.hint == "known: torch, onnxruntime, openvino, tensorrt, tensorrt-rtx"
    with pytest.raises(SettingsError, match="--precision int3 is unknown"):
        check_names(("torch",), ("int3",))


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_without_the_instructions_is_unavailable(
    runtime: str, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertslim.runtime.torch_.computes_bf16", lambda _: False)
    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32"])
    with pytest.raises(UnavailableError, match=r"no AMX / AVX512-BF16"):
        build(runtime, "bf16", source, SETTINGS)


def test_a_precision_that_a_runtime_lacks_is_unavailable(source: Source) -> None:
    with pytest.raises(UnavailableError, match="onnxruntime has no bf16"):
        build("onnxruntime", "bf16", source, SETTINGS)


def test_bf16_of_torch_is_a_copy(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertslim.runtime.torch_.computes_bf16", lambda _: True)
    engine = build("torch", "bf16", source, SETTINGS)
    batch = agreement.padded_batch(source.model.config, 4, 12, seed=0)
    expected = build("torch", "fp32", source, SETTINGS).run(batch)
    difference = agreement.largest_difference(engine.run(batch), expected, batch)
    assert source.model.dtype == torch.float32
    assert 1e-5 < difference < agreement.allowed_difference("bf16", expected)


def test_a_missing_package_names_the_command_that_installs_it(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "bertslim.runtime.openvino_", raising=False)
    with pytest.raises(UnavailableError, match="openvino is not installed") as caught:
        build("openvino", "fp32", source, SETTINGS)
    assert caught.value.hint == "pip install 'bertslim[openvino]'"


def test_installed_runtimes_are_those_whose_packages_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert installed_runtimes()[:3] == ("torch", "onnxruntime", "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "openvino" not in installed_runtimes()


def test_a_folder_that_stubs_left_behind_is_no_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert "tensorrt" not in installed_runtimes()


@pytest.mark.no_gpu
def test_without_a_gpu_only_what_runs_on_the_cpu_is_usual() -> None:
    assert usual_runtimes() == ("torch", "onnxruntime", "openvino")
