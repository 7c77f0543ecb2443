"""Turns, budgets and summaries, by a clock that only moves when it is told to."""

from collections.abc import Callable

import pytest

from bertslim.runtime.timing import Budget, host_turn, summarise, time_rounds


class Clock:
    """Stands still but for what the engines take."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def engine(self, name: str, *seconds: float) -> Callable[[], None]:
        """Take the given times one after the other, the last one for ever."""
        left = list(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_candidates_take_turns_of_one_settling_and_one_timed_run() -> None:
    clock = Clock()
    engines = {"a": clock.engine("a", 1.0), "b": clock.engine("b", 2.0)}
    times = time_rounds(engines, Budget(seconds=0, warm_up=1, least_rounds=2), clock)
    assert "".join(clock.calls) == "aabb" * 3
    assert times == {"a": [1000.0, 1000.0], "b": [2000.0, 2000.0]}


def test_neither_warm_up_nor_settling_is_counted() -> None:
    clock = Clock()
    engine = clock.engine("a", 9.0, 9.0, 8.0, 0.5, 7.0, 0.25)
    times = time_rounds({"a": engine}, Budget(seconds=0, warm_up=1, least_rounds=2), clock)
    assert times == {"a": [500.0, 250.0]}


def test_rounds_go_on_for_as_long_as_the_seconds_of_all_candidates() -> None:
    clock = Clock()
    engines = {"a": clock.engine("a", 0.5), "b": clock.engine("b", 0.25)}
    times = time_rounds(engines, Budget(seconds=3, warm_up=4, least_rounds=1), clock)
    # a round takes 1.5 s, and there are 2 x 3 s
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4}


def test_a_run_of_several_batches_is_timed_by_the_batch() -> None:
    clock = Clock()

    def run() -> None:
        clock.now += 2.0

    assert host_turn(run, 8, clock)() == 250.0


def test_summary_of_known_times() -> None:
    latency = summarise([10.0, 20.0, 30.0, 40.0], [20.0, 20.0, 60.0, 40.0], batch_size=8)
    assert latency.times == (10.0, 20.0, 30.0, 40.0)
    assert (latency.mean, latency.p50) == (25.0, 25.0)
    assert (latency.p90, latency.p95, latency.p99) == pytest.approx((37.0, 38.5, 39.7))
    assert latency.variation == pytest.approx(12.909944 / 25)
    assert latency.sequences_per_second == 8 / 0.025
    # ratios by round: 2, 1, 2, 1
    assert (latency.speedup, latency.speedup_low, latency.speedup_high) == (1.5, 1.0, 2.0)
    assert latency.noisy


def test_drift_that_hits_all_candidates_leaves_the_ratio_alone() -> None:
    slowing = [1.0, 2.0, 4.0, 8.0]
    latency = summarise(slowing, [3 * t for t in slowing], batch_size=1)
    assert (latency.speedup_low, latency.speedup, latency.speedup_high) == (3.0, 3.0, 3.0)


def test_steady_times_are_not_noisy_and_one_time_is_enough() -> None:
    assert not summarise([10.0, 10.5, 9.5], [10.0] * 3, batch_size=1).noisy
    assert summarise([5.0], [10.0], batch_size=1).variation == 0.0
