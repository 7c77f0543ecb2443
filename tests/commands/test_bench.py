"""`bertslim bench`: one table, one object or one picture; bounds that end in exit code 3."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from bertslim.cli import main
from bertslim.runtime.affinity import usable_cpus
from tests.commands.shell import bash
from tests.tiny import save_tiny_bert

QUICK = [
    "--length",
    "16",
    "--batch",
    "2",
    "--seconds",
    "0",
    "--rounds",
    "3",
    "--warm-up",
    "0",
    "--no-memory",
    "-q",
]
NAMED = {"id2label": {0: "0", 1: "1"}}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bench") / "big", **NAMED)


@pytest.fixture(scope="module")
def small(big: Path) -> Path:
    return save_tiny_bert(big.with_name("small"), seed=1, num_hidden_layers=1, **NAMED)


def faults(text: str) -> list[str]:
    return re.findall(r"^(?:bertslim: missed:| {2}-) (\S.*)$", text, re.MULTILINE)


def test_table_has_a_line_for_every_engine(
    big: Path, small: Path, sentence_task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(big), str(small), "--task", str(sentence_task), *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = "batch 2 x 16 accuracy 95 % CI p50 ms p95 ms seq/s ratio 10-90 % max diff load s"
    assert " ".join(lines[0].split()) == titles
    engines = ["  torch fp32", "  onnxruntime fp32", "  openvino fp32"]
    names = [line[:18].rstrip() for line in lines if line.startswith("  ")]
    assert names == engines * 2
    assert [line.split("  ")[0] for line in (lines[1], lines[5])] == [str(big), str(small)]
    assert {len(line) for line in lines if line.startswith("  ")} == {len(lines[0])}


def test_a_picture_of_nothing_loses_no_result(
    big: Path,
    sentence_task: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where all engines are for a GPU that is elsewhere."""
    monkeypatch.setattr("bertslim.runtime.picture.tradeoff.drawable", lambda _: [])
    picture = tmp_path / "none.png"
    words = ["bench", str(big), "--task", str(sentence_task), "--runtime", "onnxruntime"]
    quick = [word for word in QUICK if word != "-q"]
    assert main([*words, *quick, "--picture", str(picture)]) == 0
    said = capsys.readouterr()
    assert "onnxruntime fp32" in said.out
    assert "was not written: no row has both" in " ".join(said.err.split())
    assert not picture.exists()


def test_saved_json_picture_page_and_printed_json(
    big: Path, sentence_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--save", str(tmp_path / "bench.json"), "--picture", str(tmp_path / "bench.png")]
    files += ["--html", str(tmp_path / "bench.html")]
    words = ["bench", str(big), "--task", str(sentence_task), "--runtime", "onnxruntime", "--json"]
    quick = [word for word in QUICK if word != "--no-memory"]
    assert main([*words, *files, *quick]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "bench.json").read_text())
    (row,) = printed["rows"]
    assert (row["shape"], len(row["latency"]["times"])) == ({"batch_size": 2, "length": 16}, 3)
    assert row["accuracy"]["examples"] == 48
    assert 20e6 < row["peak_bytes"] < 2e9
    assert row["difference"] <= row["allowed_difference"]
    assert row["accuracy"]["metric"] in (tmp_path / "bench.html").read_text()
    (part,) = printed["breakdowns"]
    assert (part["shape"], part["runtime"]) == (row["shape"], "onnxruntime")
    assert part["milliseconds"]["GEMM"] > 0
    files_written = ["bench.html", "bench.json", "bench.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files_written


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "bertslim.runtime.openvino_", raising=False)


BOUND = ["--max-p95-ms", "1e9"]


@pytest.mark.usefixtures("without_openvino")
def test_by_default_what_is_not_installed_is_left_out_with_a_word(
    big: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(big), *QUICK[:-1], *BOUND]) == 0
    result = capsys.readouterr()
    assert re.findall(r"^  (\w+) fp32", result.out, re.MULTILINE) == ["torch", "onnxruntime"]
    said = "openvino is left out, since it is not installed: pip install 'bertslim[openvino]'"
    assert said in result.err.splitlines()


@pytest.mark.usefixtures("without_openvino")
def test_what_was_asked_for_by_name_is_a_row_and_misses_its_bounds(
    big: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(big), "--runtime", "torch,openvino", *QUICK, *BOUND]) == 3
    result = capsys.readouterr()
    reason = "not timed: the package openvino is not installed"
    assert f"  openvino fp32  {reason}" in result.out.splitlines()
    (fault,) = faults(result.err)
    assert fault.endswith(f"2 x 16 tokens, was {reason}")


def test_outputs_that_are_not_finite_are_exit_code_3_and_the_json_is_valid(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "bertslim.runtime.onnxruntime_.OnnxRuntimeEngine.run",
        lambda _, batch: {"logits": np.full((len(batch["input_ids"]), 2), np.nan, np.float32)},
    )
    words = ["bench", str(big), "--runtime", "onnxruntime", "--json", *QUICK]
    assert main([*words, "--save", str(tmp_path / "bench.json")]) == 3
    result = capsys.readouterr()
    (row,) = json.loads(result.out, parse_constant=pytest.fail)["rows"]
    saved = json.loads((tmp_path / "bench.json").read_text(), parse_constant=pytest.fail)
    assert saved["rows"] == [row]
    assert (row["difference"], row["reason"]) == (None, "outputs are not finite numbers")
    (fault,) = faults(result.err)
    assert fault.endswith("2 x 16 tokens, outputs are not finite numbers")


def test_without_a_task_any_model_will_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headless = save_tiny_bert(tmp_path / "headless", kind=None)
    assert main(["bench", str(headless), "--runtime", "torch,openvino", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "accuracy" not in out
    assert out.count(" fp32 ") == 2


def test_missed_bounds_are_exit_code_3_and_the_table_is_printed_all_the_same(
    big: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", str(big), str(big), "--runtime", "onnxruntime", "--min-speedup", "1000"]
    assert main([*words, "--max-p95-ms", "0", *QUICK]) == 3
    result = capsys.readouterr()
    assert f"{big} (2)  0.0" in result.out
    speed, latency = faults(result.err)
    place = f"{big} (2) on onnxruntime fp32, 2 x 16 tokens,"
    assert re.fullmatch(
        re.escape(f"--min-speedup 1000: {place}") + r" is \S+ times as fast as .* fp32", speed
    )
    assert re.fullmatch(re.escape(f"--max-p95-ms 0: {place}") + r" has a p95 of \S+ ms", latency)


def test_a_dash_reads_the_pipe(big: Path, small: Path, tmp_path: Path) -> None:
    quick = " ".join(QUICK)
    script = f'echo "$SMALL" | bertslim bench "$BIG" - --runtime onnxruntime {quick}'
    done = bash(script, tmp_path, BIG=big, SMALL=small)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith(str(small))]


def test_all_that_cannot_be_is_said_at_once(big: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(big), "--picture", "a.bmp", "--max-drop", "0.1", "--min-speedup", "2"]
    words += ["--length", "task", "--html", "none/a.html"]
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bertslim: these options do not go together:",
        "  - --html none/a.html cannot be a file: its directory is missing, or it is a directory"
        " itself",
        "  - --picture shows accuracy, so it needs --task",
        "  - --picture a.bmp: the name must end in .png, .svg, .pdf",
        "  - --length task takes the rows of a task, so it needs --task",
        "  - --max-drop is about accuracy, so it needs --task",
        "  - --max-drop compares with the first MODEL, so it needs a second one",
        "  - --min-speedup compares with the first MODEL, so it needs a second one",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-", "-"], "'-' can stand for one MODEL only"),
        (["x", "--runtime", "tensorflow"], "--runtime tensorflow is unknown"),
        (["x", "--precision", "fp8"], "--precision fp8 is unknown"),
        (["x", "--batch", "1,none,0"], "--batch none,0: not a positive number"),
        (["x", "--length", ","], "--length names nothing"),
        (["x", "--cpus", "one"], "--cpus one is no list of CPUs"),
        (["x", "--cpus", "99999"], "--cpus 99999: not among those that this process may run on"),
    ],
)
def test_usage_errors(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


def test_all_lists_that_cannot_be_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--runtime", "jax", "--precision", "int4", "--batch", "0", "--length", "16,long"]
    assert main(["bench", "x", *words]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bertslim: these options cannot be read:",
        "  - --runtime jax is unknown"
        " (known: torch, onnxruntime, openvino, tensorrt, tensorrt-rtx)",
        "  - --precision int4 is unknown (known: fp32, fp16, bf16, int8)",
        "  - --batch 0: not a positive number (such as 1,8,32)",
        "  - --length long: not a positive number (such as 1,8,32)",
    ]


def test_the_cpus_that_were_chosen_are_recorded(big: Path, tmp_path: Path) -> None:
    words = f"bench {big} --cpus {max(usable_cpus())} --runtime onnxruntime --json"
    done = bash(f"bertslim {words} {' '.join(QUICK)}", tmp_path)
    found = json.loads(done.stdout)
    assert found["machine"]["cpus"] == [max(usable_cpus())]
    assert found["plan"]["engine"]["threads"] == 1


def test_bf16_without_the_instructions_is_a_row_that_says_so(
    big: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bertslim.runtime.torch_.computes_bf16", lambda _: False)
    words = ["bench", str(big), "--runtime", "torch", "--precision", "fp32,bf16", *QUICK]
    assert main(words) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "bf16" in line)
    assert line == "  torch bf16  not timed: not available on this CPU (no AMX / AVX512-BF16)"
