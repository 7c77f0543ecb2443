"""The table, to the character."""

import inspect
from dataclasses import replace

import pytest

from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.shape import Lengths, Shape
from bertslim.runtime.table import comparison_text
from tests.runtime.fakes import comparison, row

ROWS = (
    row("models/big", [100.0, 100.0], accuracy=0.9312),
    row("models/big", runtime="openvino", precision="bf16", difference=None, reason="no bf16"),
    row("out/small", [12.5, 12.5], accuracy=0.9, first=[100.0, 100.0]),
)


def test_narrow_table() -> None:
    expected = """
    batch 8 x 128    accuracy  p50 ms  p95 ms  seq/s  ratio  max diff
    models/big  22.7 M parameters, 90.9 MB
      torch fp32       0.9312     100     100   80.0   1.00     1e-06
      openvino bf16  not timed: no bf16
    out/small  22.7 M parameters, 90.9 MB
      torch fp32       0.9000    12.5    12.5    640   8.00     1e-06

    ratio: times as fast as the first timed row; max diff: from PyTorch fp32
    A CPU, 2 threads, avx2
    torch 2.13.0
    """
    assert comparison_text(comparison(*ROWS), 80).plain.strip() == inspect.cleandoc(expected)


@pytest.mark.parametrize(("width", "widest"), [(80, 80), (120, 120)])
def test_table_fits(width: int, widest: int) -> None:
    lines = comparison_text(comparison(*ROWS), width).plain.splitlines()
    assert max(map(len, lines)) <= widest


def test_reasons_and_notes_that_are_long_go_on_below_their_beginning() -> None:
    why = "TensorRT-RTX builds no fp32 matrix products for SM75 (the first is value/matmul)"
    shown = comparison(row(times=[1.0, 2.0]), row("small", reason=why))
    alone = replace(shown, plan=replace(shown.plan, engine=EngineSettings(1)))
    lines = comparison_text(alone, 60).plain.splitlines()
    assert lines[4:6] == [
        "  torch fp32   not timed: TensorRT-RTX builds no fp32 matrix",
        "               products for SM75 (the first is value/matmul)",
    ]
    assert lines[7:9] == [
        "~ noisy: the times vary by more than 10 %; take more",
        "  --seconds or a quieter machine",
    ]
    assert "A CPU, 1 thread, avx2" in lines


def test_wide_table_has_the_spreads() -> None:
    text = comparison_text(comparison(*ROWS), 120).plain
    assert "0.911-0.951" in text
    assert "8.00-8.00" in text


def test_without_a_task_there_is_no_metric_and_noise_is_marked() -> None:
    text = comparison_text(comparison(row(times=[1.0, 2.0])), 80).plain
    titles = "batch 8 x 128 p50 ms p95 ms seq/s ratio max diff"
    assert " ".join(text.splitlines()[0].split()) == titles
    assert "~1.50" in text
    assert "~ noisy" in text


def test_memory_where_it_was_measured_and_company_where_there_was_some() -> None:
    rows = [row(times=[1.0, 1.0], peak=512_300_000), row("small", [1.0, 1.0])]
    text = comparison_text(comparison(*rows, busy=1.5), 80).plain
    assert "peak MB" in text.splitlines()[0]
    assert [line.split()[-1] for line in text.splitlines()[2:5:2]] == ["512", "1e-06"]
    assert "others kept 1.5 of 2 CPUs busy when this began" in text


def test_rows_of_a_task_tell_how_long_they_are() -> None:
    lengths = Lengths(mean=13.24, longest=40, padding=0.351)
    served = replace(row(times=[1.0]), shape=Shape(8, "task"), lengths=lengths)
    title, checkpoint, *_ = comparison_text(comparison(served), 80).plain.splitlines()
    assert title.startswith("batch 8 x task ")
    assert checkpoint.endswith(" 90.9 MB, 13.2 tokens, at most 40, 35% padding")
