"""Bounds: who is judged, against whom, and what is said."""

from bertslim.runtime.bounds import Bounds, disagreements, missed_bounds, never_timed
from bertslim.runtime.shape import Shape
from tests.runtime.fakes import row

NONE = Bounds(max_drop=None, min_speedup=None, max_p95_ms=None)


def test_without_bounds_nothing_is_missed() -> None:
    assert missed_bounds([row(times=[5.0]), row("small", reason="no bf16")], NONE, "fp32") == []


def test_a_drop_is_measured_from_the_first_checkpoint_on_the_same_runtime() -> None:
    rows = [
        row("big", [1.0], runtime="torch", accuracy=0.93),
        row("big", [1.0], runtime="openvino", accuracy=0.90),
        row("small", [1.0], runtime="torch", accuracy=0.90),
        row("small", [1.0], runtime="openvino", accuracy=0.895),
    ]
    missed = missed_bounds(rows, Bounds(max_drop=0.01, min_speedup=None, max_p95_ms=None), "fp32")
    assert missed == [
        "--max-drop 0.01: small on torch fp32 loses 0.0300 accuracy against big on torch fp32"
    ]


def test_a_drop_of_exactly_the_bound_is_allowed() -> None:
    rows = [row("big", [1.0], accuracy=0.90), row("small", [1.0], accuracy=0.89)]
    bounds = Bounds(max_drop=0.01, min_speedup=None, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == []


def test_a_speedup_is_the_median_over_the_rounds() -> None:
    rows = [row("big", [10.0, 20.0, 30.0]), row("small", [5.0, 5.0, 20.0])]
    bounds = Bounds(max_drop=None, min_speedup=3, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == [
        "--min-speedup 3: small on torch fp32, 8 x 128 tokens, is 2.00 times as fast"
        " as big on torch fp32"
    ]
    assert missed_bounds(rows, Bounds(max_drop=None, min_speedup=2, max_p95_ms=None), "fp32") == []


def test_latency_judges_the_later_checkpoints_or_the_only_one() -> None:
    bounds = Bounds(max_drop=None, min_speedup=None, max_p95_ms=2)
    said = ["--max-p95-ms 2: big on torch fp32, 8 x 128 tokens, has a p95 of 5.00 ms"]
    assert missed_bounds([row("big", [5.0])], bounds, "fp32") == said
    assert missed_bounds([row("big", [5.0]), row("small", [1.0])], bounds, "fp32") == []


def test_what_was_not_timed_misses_every_bound() -> None:
    rows = [row("big", [5.0]), row("small", reason="no bf16 here")]
    bounds = Bounds(max_drop=None, min_speedup=1, max_p95_ms=None)
    said = ["small on torch fp32, 8 x 128 tokens, was not timed: no bf16 here"]
    assert missed_bounds(rows, bounds, "fp32") == said
    assert disagreements(rows[:1]) == []


def test_a_first_checkpoint_without_times_or_metric_lets_nothing_pass() -> None:
    rows = [row("big", reason="failed"), row("small", [1.0], accuracy=0.9)]
    bounds = Bounds(max_drop=0.1, min_speedup=1, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == [
        "--max-drop 0.1: small on torch fp32 has no metric to compare",
        "--min-speedup 1: small on torch fp32, 8 x 128 tokens,"
        " has nothing to be faster than: failed",
    ]


def test_an_engine_that_computes_something_else_is_named() -> None:
    rows = [row("big", [1.0]), row("big", outcome="differs", reason="differs by 0.5")]
    assert disagreements(rows) == ["big on torch fp32, 8 x 128 tokens, differs by 0.5"]


def test_a_deployment_is_compared_with_the_precision_named_first_on_its_runtime() -> None:
    rows = [
        row("big", [8.0], runtime="torch", accuracy=0.9),
        row("big", [12.0], runtime="openvino", accuracy=0.9),
        row("big", [6.0], runtime="openvino", precision="bf16", accuracy=0.9),
        row("small", [3.0], runtime="openvino", precision="int8", accuracy=0.89),
    ]
    bounds = Bounds(max_drop=0.001, min_speedup=5, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == [
        "--max-drop 0.001: small on openvino int8 loses 0.0100 accuracy"
        " against big on openvino fp32",
        "--min-speedup 5: small on openvino int8, 8 x 128 tokens, is 4.00 times as fast"
        " as big on openvino fp32",
    ]
    same = row("big", [6.0], runtime="openvino", precision="int8", accuracy=0.88)
    assert missed_bounds([*rows[:3], same, rows[3]], bounds, "fp32") == [
        "--min-speedup 5: small on openvino int8, 8 x 128 tokens, is 2.00 times as fast"
        " as big on openvino int8",
    ]


def test_a_first_deployment_is_compared_with_whatever_comes_after_it() -> None:
    rows = [
        row("old", [8.0], runtime="onnxruntime", precision="int8"),
        row("new", [5.0], runtime="openvino", precision="int8"),
    ]
    bounds = Bounds(max_drop=None, min_speedup=2, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == [
        "--min-speedup 2: new on openvino int8, 8 x 128 tokens, is 1.60 times as fast"
        " as old on onnxruntime int8"
    ]


def test_without_anything_to_compare_with_nothing_passes() -> None:
    rows = [
        row("big", [8.0], runtime="torch"),
        row("big", [8.0], runtime="onnxruntime"),
        row("small", [1.0], runtime="openvino"),
    ]
    bounds = Bounds(max_drop=None, min_speedup=2, max_p95_ms=None)
    assert missed_bounds(rows, bounds, "fp32") == [
        "--min-speedup 2: small on openvino fp32, 8 x 128 tokens,"
        " has nothing to be faster than: the first checkpoint does not run there"
    ]


def test_rows_are_compared_with_those_of_their_shape() -> None:
    one, eight = Shape(1, 128), Shape(8, 128)
    rows = [
        row("big", [8.0], shape=one),
        row("small", [4.0], shape=one),
        row("big", [80.0], shape=eight),
        row("small", [60.0], shape=eight),
    ]
    (missed,) = missed_bounds(rows, Bounds(None, 1.5, None), "fp32")
    assert "8 x 128 tokens, is 1.33 times" in missed


def test_what_is_built_for_another_machine_is_not_missed_but_never_timed() -> None:
    rows = [
        row("big", [5.0]),
        row("big", runtime="tensorrt", reason="not installed"),
        row("small", runtime="tensorrt", reason="no CUDA device", outcome="built"),
    ]
    bounds = Bounds(max_drop=None, min_speedup=2, max_p95_ms=None)
    small = "small on tensorrt fp32, 8 x 128 tokens, was not timed: no CUDA device"
    big = "big on tensorrt fp32, 8 x 128 tokens, was not timed: not installed"
    assert missed_bounds(rows, bounds, "fp32") == []
    assert never_timed(rows, bounds, require=False) == [small]
    assert never_timed(rows, NONE, require=False) == []
    assert never_timed(rows, NONE, require=True) == [big, small]
    assert never_timed(rows[:1], bounds, require=True) == []
