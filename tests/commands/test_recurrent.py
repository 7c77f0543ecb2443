"""Recurrent models from a checkpoint to a graph that its runtime likes."""

import json
from pathlib import Path

import onnx
import pytest
import torch

from bertslim.cli import main
from bertslim.commands.graphs import written_graphs
from bertslim.errors import UnavailableError
from bertslim.methods.quantize.recurrent import known_ranges
from tests.commands.deployments import FILES, counts, deployed
from tests.model.lstm.models import LETTERS, save_tiny_lstm, tiny_lstm
from tests.runtime.tensorrt.worlds import builds
from tests.tiny import record_of, save_tiny_bert


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose labels are those of the sentence task."""
    directory = tmp_path_factory.mktemp("text") / "model"
    return save_tiny_lstm(directory, "text-classification", id2label={0: "0", 1: "1"})


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger that spells words."""
    directory = tmp_path_factory.mktemp("tags") / "model"
    return save_tiny_lstm(directory, "token-classification", characters=LETTERS)


def operators(directory: Path) -> set[str]:
    return {node.op_type for node in onnx.load(directory / "model.onnx").graph.node}


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_fuse_writes_a_graph_and_counts_its_lstms(tags: Path, target: str, tmp_path: Path) -> None:
    output = tmp_path / target
    assert main(["fuse", str(tags), "--target", target, "-o", str(output), "-q"]) == 0
    assert {file.name for file in output.iterdir()} == FILES | {"crf.py"}
    # OpenVINO runs each direction by itself and names neither
    assert counts(output)["LSTM"] == ((2, 2) if target == "onnxruntime" else (0, 2))
    assert deployed(output)["difference"] < 1e-4
    assert "Conv" not in operators(output)


def test_export_keeps_the_convolution_and_a_twin_is_refused(
    tags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "onnx"
    assert main(["export", str(tags), "--format", "onnx", "-o", str(output)]) == 0
    assert {"Conv", "LSTM"} <= operators(output)
    capsys.readouterr()
    assert main(["export", str(tags), "--format", "transformers"]) == 1
    assert "is a recurrent model (slim_lstm)" in capsys.readouterr().err


@pytest.mark.parametrize("ranges", ["static", "dynamic"])
def test_int8_for_onnxruntime_needs_no_text(text: Path, ranges: str, tmp_path: Path) -> None:
    output = tmp_path / ranges
    arguments = ["--precision", "int8", "--target", "onnxruntime", "--ranges", ranges]
    assert main(["quantize", str(text), *arguments, "-o", str(output), "-q"]) == 0
    in_int8 = 2 if ranges == "dynamic" else 0
    assert counts(output)["int8 LSTM"] == (in_int8, 2)
    assert counts(output)["int8 GEMM"] == (1, 1)
    assert ("DynamicQuantizeLSTM" in operators(output)) == (ranges == "dynamic")
    assert deployed(output)["details"]["ranges"] == ranges


def test_the_faster_int8_is_chosen_scored_and_evaluated(
    text: Path, sentence_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, task = tmp_path / "int8", ["--task", str(sentence_task)]
    arguments = ["--precision", "int8", "--target", "onnxruntime", "-o", str(output), "-q"]
    assert main(["quantize", str(text), *arguments, *task]) == 0
    times = deployed(output)["details"]["milliseconds"]
    chosen = deployed(output)["details"]["ranges"]
    assert times[chosen] == min(times.values())
    report = record_of(output)["report"]
    assert report["after"]["value"] == pytest.approx(report["before"]["value"], abs=0.1)
    capsys.readouterr()
    assert main(["evaluate", str(output), *task, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == report["after"]["value"]


@builds
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_builds_for_turing(text: Path, precision: str, tmp_path: Path) -> None:
    output = tmp_path / precision
    arguments = ["--precision", precision, "--target", "tensorrt-rtx", "-o", str(output), "-q"]
    assert main(["quantize", str(text), *arguments]) == 0
    details = deployed(output)["details"]
    assert details["sm"] == "75"
    assert {finding["kind"] for finding in details["findings"]} <= {"padded"}
    assert counts(output)["LSTM"] == (0, 2)  # a loop of small kernels
    assert (output / "layers.txt").read_text().startswith("Layers:")


def test_bench_tries_no_fp16_that_may_overflow() -> None:
    """On a GPU, where its graph would be in fp16; in fp32 the same model is fine."""
    model = tiny_lstm("token-classification")
    graphs = written_graphs(model, lambda _runtime: known_ranges(model))
    assert graphs("tensorrt", "fp16")
    torch.nn.init.constant_(model.classifier.output.weight, 6e4)
    for precision in ("fp16", "int8"):
        with pytest.raises(UnavailableError, match=r"classifier\.output: its values may reach"):
            graphs("tensorrt", precision)
    assert graphs("tensorrt", "fp32")


def test_a_transformer_and_a_recurrent_model_are_timed_side_by_side(
    text: Path, sentence_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ["--runtime", "torch,onnxruntime,openvino", "--precision", "fp32,int8"]
    short = ["--batch", "2", "--length", "8", "--seconds", "0.01", "--json"]
    teacher = save_tiny_bert(tmp_path / "teacher", id2label={0: "0", 1: "1"})
    models = [str(teacher), str(text)]
    assert main(["bench", *models, *cells, *short, "--task", str(sentence_task)]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    mine = [row for row in rows if row["checkpoint"] == models[1] and row["latency"]]
    assert {(row["runtime"], row["precision"]) for row in mine} == {
        ("torch", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["quantize", "--precision", "int8", "--target", "openvino", "--qat", "1"], 2, "--qat is"),
        (
            ["quantize", "--precision", "int8", "--target", "openvino", "--max-drop", "0.1"],
            2,
            "--max-drop is for transformers alone",
        ),
        (["prune-heads", "--remove", "0.5"], 1, "is done to transformers alone"),
        (["theseus", "--successor", "layers=1/2"], 1, "is done to transformers alone"),
        (["prune-l0", "--target-sparsity", "0.5"], 1, "is done to transformers alone"),
    ],
)
def test_what_is_for_transformers_is_refused(
    text: Path,
    sentence_task: Path,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, *options = arguments
    assert main([name, str(text), *options, "--task", str(sentence_task)]) == code
    assert message in capsys.readouterr().err


def test_quantize_refuses_options_that_would_play_no_part(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few.txt").write_text("good\n")
    options = ["--text", str(tmp_path / "few.txt"), "--calibration", "mse", "--no-smooth"]
    int8 = ["quantize", str(text), "--precision", "int8", "--target", "openvino"]
    assert main([*int8, *options]) == 2
    said = "--text, --calibration, --no-smooth is for transformers alone"
    assert said in capsys.readouterr().err
