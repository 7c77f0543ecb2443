"""Bounds: who is judged, against whom, and what is said."""

from bertslim.runtime.bounds import Bounds, disagreements, missed_bounds
from tests.runtime.fakes import row

NONE = Bounds(max_drop=None, min_speedup=None, max_p95_ms=None)


def test_without_bounds_nothing_is_missed() -> None:
    assert missed_bounds([row(times=[5.0]), row("small", reason="no bf16")], NONE) == []


def test_a_drop_is_measured_from_the_first_checkpoint_on_the_same_runtime() -> None:
    rows = [
        row("big", [1.0], runtime="torch", accuracy=0.93),
        row("big", [1.0], runtime="openvino", accuracy=0.90),
        row("small", [1.0], runtime="torch", accuracy=0.90),
        row("small", [1.0], runtime="openvino", accuracy=0.895),
    ]
    missed = missed_bounds(rows, Bounds(max_drop=0.01, min_speedup=None, max_p95_ms=None))
    assert missed == ["--max-drop 0.01: small on torch fp32 loses 0.0300 accuracy"]


def test_a_speedup_is_the_median_over_the_rounds() -> None:
    rows = [row("big", [10.0, 20.0, 30.0]), row("small", [5.0, 5.0, 20.0])]
    bounds = Bounds(max_drop=None, min_speedup=3, max_p95_ms=None)
    assert missed_bounds(rows, bounds) == [
        "--min-speedup 3: small on torch fp32, 8 x 128 tokens, is 2.00 times as fast"
    ]
    assert missed_bounds(rows, Bounds(max_drop=None, min_speedup=2, max_p95_ms=None)) == []


def test_latency_judges_the_later_checkpoints_or_the_only_one() -> None:
    bounds = Bounds(max_drop=None, min_speedup=None, max_p95_ms=2)
    said = ["--max-p95-ms 2: big on torch fp32, 8 x 128 tokens, has a p95 of 5.00 ms"]
    assert missed_bounds([row("big", [5.0])], bounds) == said
    assert missed_bounds([row("big", [5.0]), row("small", [1.0])], bounds) == []


def test_what_was_not_timed_misses_every_bound() -> None:
    rows = [row("big", [5.0]), row("small", reason="no bf16 here")]
    bounds = Bounds(max_drop=None, min_speedup=1, max_p95_ms=None)
    said = ["small on torch fp32, 8 x 128 tokens, was not timed: no bf16 here"]
    assert missed_bounds(rows, bounds) == said
    assert disagreements(rows[:1]) == []


def test_a_first_checkpoint_without_times_or_metric_lets_nothing_pass() -> None:
    rows = [row("big", reason="failed"), row("small", [1.0], accuracy=0.9)]
    bounds = Bounds(max_drop=0.1, min_speedup=1, max_p95_ms=None)
    assert missed_bounds(rows, bounds) == [
        "--max-drop 0.1: small on torch fp32 has no metric to compare",
        "--min-speedup 1: small on torch fp32, 8 x 128 tokens,"
        " has nothing to be faster than: failed",
    ]


def test_an_engine_that_computes_something_else_is_named() -> None:
    rows = [row("big", [1.0]), row("big", difference=0.5, reason="differs by 0.5")]
    assert disagreements(rows) == ["big on torch fp32, 8 x 128 tokens, differs by 0.5"]
