"""`bertslim bench` on what `fuse` and `quantize` make: a graph, its runtime and its precision."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from bertslim.cli import main
from bertslim.graph.emit import emit
from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint
from bertslim.store.deployment import GRAPH, Deployment, write_deployment
from tests.commands.test_bench import NAMED, QUICK
from tests.runtime.tensorrt.worlds import builds
from tests.tiny import save_tiny_bert


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bench") / "big", **NAMED)


@pytest.fixture(scope="module")
def deployed(big: Path) -> Path:
    """The same model with its graph for OpenVINO."""
    return deploy(big, big.with_name("deployed"), graph_of=big)


def deploy(model: Path, directory: Path, graph_of: Path) -> Path:
    shutil.copytree(model, directory)
    graph = emit(load_model(open_checkpoint(graph_of))).SerializeToString()
    (directory / GRAPH).write_bytes(graph)
    write_deployment(directory, Deployment("openvino", "fp32", (), 1e-6))
    return directory


def rows_of(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert main(["bench", *map(str, words), "--json", *QUICK]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rows"]
    return rows


def test_a_deployment_is_one_engine_beside_those_of_a_checkpoint(
    big: Path, deployed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *plain, row = rows_of(capsys, big, deployed)
    assert {row["checkpoint"] for row in plain} == {str(big)}
    assert (row["checkpoint"], row["runtime"], row["precision"]) == (
        str(deployed),
        "openvino",
        "fp32",
    )
    assert row["outcome"] == "timed"
    assert row["size_bytes"] == (deployed / GRAPH).stat().st_size


def test_what_the_flags_leave_out_is_said(
    big: Path, deployed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, row = rows_of(capsys, big, deployed, "--runtime", "torch")
    assert (row["runtime"], row["reason"]) == ("torch", "made for openvino fp32")
    *_, row = rows_of(capsys, big, deployed, "--runtime", "openvino,torch", "--precision", "fp32")
    assert (row["runtime"], row["outcome"]) == ("openvino", "timed")


def test_the_graph_is_what_runs_and_the_weights_are_what_it_is_compared_with(
    big: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save_tiny_bert(tmp_path / "other", seed=7, **NAMED)
    wrong = deploy(big, tmp_path / "wrong", graph_of=other)
    assert main(["bench", str(wrong), *QUICK]) == 3
    assert re.search(r"openvino fp32, 2 x 16 tokens, differs from PyTorch", capsys.readouterr().err)


def test_bounds_hold_a_deployment_to_the_checkpoint_on_its_runtime(
    big: Path, deployed: Path, sentence_task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(big), str(deployed), "--task", str(sentence_task), "--runtime", "openvino"]
    assert main(["bench", *words, "--max-drop", "0", *QUICK]) == 0
    assert main(["bench", *words, "--min-speedup", "1000", *QUICK]) == 3
    assert f"times as fast as {big} on openvino fp32" in capsys.readouterr().err


def test_rows_of_the_task_as_they_come(
    big: Path, sentence_task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", sentence_task, "--runtime", "torch", "--length", "task,16"]
    assert main(["bench", str(big), *map(str, words), "--json", *QUICK[2:]]) == 0
    task, full = json.loads(capsys.readouterr().out)["rows"]
    assert (task["shape"], full["shape"]) == (
        {"batch_size": 2, "length": "task"},
        {"batch_size": 2, "length": 16},
    )
    assert full["lengths"] == {"mean": 16, "longest": 16, "padding": 0}
    # 4 to 11 words, a full stop, and two special tokens
    assert 7 <= task["lengths"]["mean"] <= task["lengths"]["longest"] <= 14
    assert 0 < task["lengths"]["padding"] < 0.5
    assert (task["outcome"], len(task["latency"]["times"])) == ("timed", 3)
    assert task["flops"] < full["flops"]


def test_int8_of_a_checkpoint_needs_a_task(big: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(big), "--runtime", "torch,openvino", "--precision", "fp32,int8", *QUICK]
    assert main(["bench", *words]) == 0
    out = capsys.readouterr().out
    assert "  torch int8     not timed: torch has no int8" in out
    assert "  openvino int8  not timed: int8 needs ranges, which are measured on" in out


def test_int8_of_a_checkpoint_is_calibrated_on_the_training_data(
    big: Path, sentence_task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", sentence_task, "--runtime", "onnxruntime,openvino", "--precision", "int8"]
    rows = rows_of(capsys, big, *words)
    engines = [(row["runtime"], row["precision"], row["outcome"]) for row in rows]
    assert engines == [("onnxruntime", "int8", "timed"), ("openvino", "int8", "timed")]
    # int8 is not fp32 under another name
    assert all(row["difference"] > 1e-4 for row in rows)


@builds
@pytest.mark.no_gpu
def test_an_engine_for_a_gpu_elsewhere_is_built_and_its_times_can_be_demanded(
    big: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", str(big), "--runtime", "tensorrt-rtx", "--precision", "fp16", "--sm", "75"]
    assert main([*words, *QUICK]) == 0
    built = re.compile(r"  tensorrt-rtx fp16  built, not timed: no CUDA device \(SM75, .* s\)")
    assert [line for line in capsys.readouterr().out.splitlines() if built.fullmatch(line)]
    for demand in (["--require-timing"], ["--max-p95-ms", "5"]):
        assert main([*words, *demand, *QUICK]) == 6
        result = capsys.readouterr()
        assert "built, not timed" in result.out
        assert "tensorrt-rtx fp16, 2 x 16 tokens, was not timed: no CUDA device" in result.err


def test_sm_is_of_tensorrt(big: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(big), "--runtime", "torch", "--sm", "75"]) == 2
    assert "--sm is of TensorRT: name tensorrt-rtx in --runtime" in capsys.readouterr().err


def test_of_several_models_the_one_that_does_not_fit_is_named(
    big: Path,
    deployed: Path,
    sentence_task: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tagger = save_tiny_bert(tmp_path / "tagger", "token-classification")
    assert main(["bench", str(big), str(tagger), "--task", str(sentence_task), *QUICK]) == 1
    assert f"{tagger}: task task is text-classification" in capsys.readouterr().err
    foreign = shutil.copytree(deployed, tmp_path / "foreign")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([node], "relu", [x], [y])
    onnx.save(onnx.helper.make_model(graph, ir_version=9), foreign / "model.onnx")
    assert main(["bench", str(big), str(foreign), *QUICK]) == 1
    assert f"{foreign}: the graph takes x; a BERT takes" in capsys.readouterr().err
