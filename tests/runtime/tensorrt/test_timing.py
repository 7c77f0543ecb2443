"""What is made of times, by trtexec's formulas; the loop, on a device that only counts."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bertslim.runtime.tensorrt.loop import IN_FLIGHT, measure
from bertslim.runtime.tensorrt.timing import (
    Budget,
    Measurement,
    Query,
    Switches,
    joined,
    percentile,
    statistics,
)


@pytest.mark.parametrize(
    ("count", "percent", "index"),
    [
        # max(N - 1 - int((1 - p / 100) N), 0), where single precision makes of
        # (1 - 99 / 100) 100 not 1 but 0.99999905, and of (1 - 90 / 100) 100 not 10 but 10.000002
        (100, 99, 99),
        (100, 95, 94),
        (100, 90, 89),
        (1000, 99, 990),
        (250, 99, 247),
        (10, 99, 9),
        (10, 50, 4),
        (1, 99, 0),
        (3, 0, 0),
        (3, 100, 2),
    ],
)
def test_percentiles_are_times_that_were_taken(count: int, percent: float, index: int) -> None:
    assert percentile([float(i) for i in range(count)], percent) == index


def test_statistics_of_a_series() -> None:
    found = statistics([4.0, 1.0, 2.0, 3.0])
    assert (found.least, found.most, found.mean, found.median) == (1.0, 4.0, 2.5, 2.5)
    assert (found.p90, found.p95, found.p99) == (4.0, 4.0, 4.0)
    # deviations 1.5, 0.5, 0.5, 1.5: the variance of all four is 1.25
    assert found.variation == pytest.approx(math.sqrt(1.25) / 2.5)
    assert statistics([2.0]).variation == 0.0


def queries(*computes: float, enqueue: float = 0.1, copy: float = 0.1) -> tuple[Query, ...]:
    return tuple(Query(enqueue, copy, compute, copy) for compute in computes)


def test_a_measurement_condenses_itself() -> None:
    found = Measurement(Switches(), queries(2.0, 2.0), wall_seconds=0.005)
    assert found.series("compute").median == 2.0
    assert found.series("latency").median == pytest.approx(2.2)
    assert found.batches_per_second == 400
    assert found.warnings() == ()


@pytest.mark.parametrize(
    ("series", "warning"),
    [
        (queries(1.0, 1.0, enqueue=0.81), "enqueueing takes about as long as the GPU computes"),
        (queries(1.0, 1.0, copy=1.0), "copying takes longer than the GPU computes"),
        (queries(1.0, 1.1), "times vary by 4.8%: lock the GPU's clocks"),
    ],
)
def test_what_makes_times_doubtful_is_said(series: tuple[Query, ...], warning: str) -> None:
    assert Measurement(Switches(), series, 1.0).warnings() == (warning,)


def test_rounds_are_put_together() -> None:
    first = Measurement(Switches(graph=False), queries(1.0), 0.5, "cannot be captured")
    second = Measurement(Switches(graph=False), queries(2.0, 3.0), 0.25, "cannot be captured")
    both = joined([first, second])
    assert [query.compute for query in both.queries] == [1.0, 2.0, 3.0]
    assert (both.wall_seconds, both.switches.graph) == (0.75, False)
    assert both.not_captured == "cannot be captured"


@dataclass
class CountingEvent:
    """A moment on the counting device's stream."""

    device: "CountingDevice"
    at: float = -1.0

    def record(self, _: object) -> None:
        self.at = self.device.stream_time

    def has_passed(self) -> bool:
        self.device.clock += 0.1
        return self.device.clock >= self.at

    def wait(self) -> None:
        self.device.clock = max(self.device.clock, self.at)

    def milliseconds_since(self, earlier: "CountingEvent") -> float:
        assert 0 <= earlier.at <= self.at <= self.device.clock
        return self.at - earlier.at


@dataclass
class CountingDevice:
    """Copies take 1 ms each way, a run takes 5 ms, enqueueing takes the host 0.5 ms."""

    clock: float = 0.0
    stream_time: float = 0.0
    captured: bool = False
    capturable: bool = True
    not_captured: str = ""
    done: list[str] = field(default_factory=list)
    stream: object = None

    @property
    def cuda(self) -> SimpleNamespace:
        return SimpleNamespace(event=lambda: CountingEvent(self))

    def put(self, what: str, milliseconds: float) -> None:
        self.done.append(what)
        self.stream_time = max(self.stream_time, self.clock) + milliseconds

    def upload(self) -> None:
        self.put("upload", 1)

    def launch(self) -> None:
        self.clock += 0.5
        self.put("launch", 5)

    def download(self) -> None:
        self.put("download", 1)

    def capture(self) -> None:
        self.captured = self.capturable
        self.not_captured = "" if self.capturable else "it allocates"

    def release(self) -> None:
        self.captured = False

    def seconds(self) -> float:
        return self.clock / 1000


SHORT = Budget(warm_up_ms=20, seconds=0.05, queries=4)


@pytest.mark.parametrize("spin", [True, False])
def test_the_loop_times_what_the_device_does(spin: bool) -> None:
    device = CountingDevice()
    found = measure(device, Switches(spin=spin), SHORT, device.seconds)
    assert found.switches == Switches(graph=True, transfers=True, spin=spin)
    assert {round(query.compute, 6) for query in found.queries} == {5.0}
    assert {round(query.download, 6) for query in found.queries} == {1.0}
    assert {round(query.enqueue, 6) for query in found.queries} == {0.5}
    # 7 ms a query, one after another without a gap: the next is enqueued while one runs
    assert len(found.queries) == pytest.approx(50 / 7 + IN_FLIGHT, abs=1)
    assert found.wall_seconds * 1000 == pytest.approx(7 * len(found.queries), abs=2)


def test_the_loop_runs_the_least_number_of_queries() -> None:
    device = CountingDevice()
    found = measure(device, Switches(), Budget(0, 0, queries=30), device.seconds)
    assert len(found.queries) == 30


def test_without_transfers_nothing_is_copied_but_the_first_inputs() -> None:
    device = CountingDevice()
    found = measure(device, Switches(transfers=False), SHORT, device.seconds)
    assert device.done.count("upload") == 1
    assert "download" not in device.done
    assert {query.upload for query in found.queries} == {0.0}


def test_a_graph_that_cannot_be_captured_is_recorded_as_none() -> None:
    device = CountingDevice(capturable=False)
    found = measure(device, Switches(graph=True), SHORT, device.seconds)
    assert not found.switches.graph
    assert found.not_captured == "it allocates"


def test_a_graph_that_is_not_wanted_is_let_go() -> None:
    device = CountingDevice(captured=True, not_captured="it allocates")
    found = measure(device, Switches(graph=False), SHORT, device.seconds)
    assert not found.switches.graph
    assert not device.captured
    # what an earlier attempt failed for is no reason where there was none
    assert found.not_captured == ""
