"""The loop that takes an engine's times on the GPU, like that of trtexec, NVIDIA's command for it.

After NVIDIA/TensorRT, samples/common/sampleInference.cpp: a warm-up by time, two queries in flight,
events around the copies and the run, a host clock around the enqueueing. Unlike there, one stream
takes all of it, since the engine reads and writes one set of buffers.
"""

import time
from collections.abc import Callable

from bertslim.runtime.tensorrt.memory import Event
from bertslim.runtime.tensorrt.session import Session
from bertslim.runtime.tensorrt.timing import Budget, Measurement, Query, Switches

IN_FLIGHT = 2
"""The next query is enqueued before the last one is awaited."""


def measure(
    session: Session,
    switches: Switches,
    budget: Budget,
    clock: Callable[[], float] = time.monotonic,
) -> Measurement:
    """Time an engine on what `session.fill` put into it.

    Args:
        session: The engine.
        switches: What is part of a query.
        budget: How long.
        clock: Of the host, in seconds.
    """
    session.capture() if switches.graph else session.release()
    in_force = Switches(session.captured, switches.transfers, switches.spin)
    loop = _Loop(session, in_force, clock)
    # uploaded once at least: without transfers every query takes the same inputs
    session.upload()
    loop.run(budget.warm_up_ms / 1000, least=1)
    begin = clock()
    queries = loop.run(budget.seconds, budget.queries)
    reason = session.not_captured if switches.graph else ""
    return Measurement(in_force, tuple(queries), clock() - begin, reason)


class _Flight:
    """The four moments of a query on the stream, and what the host needed."""

    def __init__(self, session: Session) -> None:
        self.moments: list[Event] = [session.cuda.event() for _ in range(4)]
        self.enqueue = 0.0
        self.under_way = False

    def query(self) -> Query:
        """Read the times of a query that is done."""
        begin, uploaded, computed, end = self.moments
        return Query(
            enqueue=self.enqueue,
            upload=uploaded.milliseconds_since(begin),
            compute=computed.milliseconds_since(uploaded),
            download=end.milliseconds_since(computed),
        )


class _Loop:
    def __init__(self, session: Session, switches: Switches, clock: Callable[[], float]) -> None:
        self._session = session
        self._switches = switches
        self._clock = clock
        self._flights = [_Flight(session) for _ in range(IN_FLIGHT)]

    def run(self, seconds: float, least: int) -> list[Query]:
        """Run queries for so long, and at least so many."""
        done: list[Query] = []
        begun = 0
        deadline = self._clock() + seconds
        while begun < least or self._clock() < deadline:
            flight = self._flights[begun % IN_FLIGHT]
            self._land(flight, done)
            self._start(flight)
            begun += 1
        for offset in range(IN_FLIGHT):
            self._land(self._flights[(begun + offset) % IN_FLIGHT], done)
        return done

    def _start(self, flight: _Flight) -> None:
        session, (begin, uploaded, computed, end) = self._session, flight.moments
        begin.record(session.stream)
        if self._switches.transfers:
            session.upload()
        uploaded.record(session.stream)
        before = self._clock()
        session.launch()
        flight.enqueue = (self._clock() - before) * 1000
        computed.record(session.stream)
        if self._switches.transfers:
            session.download()
        end.record(session.stream)
        flight.under_way = True

    def _land(self, flight: _Flight, done: list[Query]) -> None:
        if not flight.under_way:
            return
        end = flight.moments[-1]
        while self._switches.spin and not end.has_passed():
            pass
        end.wait()
        done.append(flight.query())
        flight.under_way = False
