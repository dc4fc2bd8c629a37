"""The queue before every sink: scoring never waits, and what is lost is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import pytest
from messages import event, reading, status, wait_for

from dpiqa.runtime.monitor.messages import Counts, Event, LiveReading, Message
from dpiqa.runtime.monitor.sinks.queued import PartialWriteError, QueuedSink


class Gate:
    """A writer that a test can hold and break."""

    name, linger_s = "gate", 0.0
    accepts: tuple[type, ...] = (object,)

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self.taken: list[Message] = []
        self.closed = False

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        self.taken += messages

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_what_is_put_arrives_in_order_and_closing_writes_the_rest(gate: Gate) -> None:
    sink, sent = QueuedSink(gate, 1000), [reading(index) for index in range(500)]
    for message in sent:
        sink.put(message)
    sink.close(5)
    assert gate.taken == sent
    assert gate.closed
    assert sink.counts == Counts(written=500)
    sink.put(reading())
    assert sink.counts.dropped == 1


def test_a_hanging_sink_never_blocks_and_keeps_events_rather_than_readings(gate: Gate) -> None:
    gate.open.clear()
    sink = QueuedSink(gate, 10)
    sink.put(reading(-1))
    wait_for(lambda: not sink._queue, "the writer took the first")
    began = time.perf_counter()
    for index in range(2000):
        sink.put(reading(index))
    for _ in range(3):
        sink.put(event())
    assert (time.perf_counter() - began) < 0.5
    assert sink.counts.dropped == 1990 + 3
    began = time.perf_counter()
    sink.close(0.2)
    assert time.perf_counter() - began < 1
    assert sink.counts.dropped == 2003  # and it cannot be told of the one that hangs
    gate.open.set()


def test_a_queue_full_of_events_drops_the_oldest(gate: Gate) -> None:
    gate.open.clear()
    sink = QueuedSink(gate, 3)
    sink.put(reading())
    wait_for(lambda: not sink._queue, "the writer took the first")
    sent = [event(kind=str(number)) for number in range(5)]
    for message in sent:
        sink.put(message)
    gate.open.set()
    sink.close(5)
    assert gate.taken[1:] == sent[2:]


def test_failures_are_counted_and_logged_once_until_it_recovers(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    sink = QueuedSink(gate, 100)
    gate.error = OSError(28, "No space left on device")
    for count in (1, 2, 3):
        sink.put(reading())
        wait_for(lambda count=count: sink.counts.failed == count, "it failed")
    gate.error = PartialWriteError(1, "half")
    sink.put(reading())
    wait_for(lambda: sink.counts.failed == 4, "it failed in part")
    gate.error = None
    sink.put(reading())
    wait_for(lambda: sink.counts.written == 1, "it works again")
    sink.close(5)
    assert [record.getMessage() for record in caplog.records] == [
        "gate: [Errno 28] No space left on device; messages are lost and counted",
        "gate: works again, messages lost: 4",
    ]


def test_only_what_is_wanted_is_taken(gate: Gate) -> None:
    gate.accepts = (Event, LiveReading)
    sink = QueuedSink(gate, 100)
    for message in (status(), event(), reading()):
        sink.put(message)
    sink.close(5)
    assert gate.taken == [event(), reading()]
    assert sink.counts == Counts(written=2)
