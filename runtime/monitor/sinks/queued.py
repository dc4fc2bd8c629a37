"""Keeps slow or dead sinks from delaying scoring: a bounded queue and a thread for each."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dpiqa.runtime.monitor.messages import Counts, LiveReading, Message, Snapshot

log = logging.getLogger(__name__)

_MAX_BATCH = 256
_FREQUENT = (LiveReading, Snapshot)


class PartialWriteError(Exception):
    """A writer could not write `lost` messages of a batch; 0 if it keeps them for later."""

    def __init__(self, lost: int, reason: str) -> None:
        super().__init__(reason)
        self.lost = lost


class Writer(Protocol):
    """Writes messages somewhere, called only from its queue's thread."""

    @property
    def name(self) -> str:
        """Its name in metrics and logs, without credentials."""
        ...

    @property
    def accepts(self) -> tuple[type, ...]:
        """The message types that it writes."""
        ...

    @property
    def linger_s(self) -> float:
        """How long messages may be collected before they are written together."""
        ...

    def write(self, messages: Sequence[Message], closing: threading.Event) -> None:
        """Write messages, all or none; raises any error, PartialWriteError if only some were lost.

        May block, but must return as soon as it can once `closing` is set.
        """
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


class QueuedSink:
    """A sink that never blocks; see Sink.

    When the queue is full, readings and snapshots are dropped before events and statuses.
    """

    def __init__(self, writer: Writer, capacity: int) -> None:
        self._writer, self._capacity = writer, capacity
        self._queue: deque[Message] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._counts = Counts()
        self._failed_since: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink {writer.name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Its name in metrics and logs."""
        return self._writer.name

    @property
    def counts(self) -> Counts:
        """The messages so far, by outcome."""
        return self._counts

    @property
    def lost(self) -> int:
        """See Sink."""
        return self._counts.dropped + self._counts.failed

    def put(self, message: Message) -> None:
        """See Sink."""
        if not isinstance(message, self._writer.accepts):
            return
        with self._changed:
            if self._closing.is_set() or (len(self._queue) >= self._capacity and not self._make_room_for(message)):
                self._count(dropped=1)
                return
            self._queue.append(message)
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """See Sink. Messages not written in time count as dropped."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            self._count(dropped=len(self._queue))
            self._queue.clear()

    def _make_room_for(self, message: Message) -> bool:
        if isinstance(message, _FREQUENT):
            return False
        oldest = next((i for i, waiting in enumerate(self._queue) if isinstance(waiting, _FREQUENT)), 0)
        del self._queue[oldest]
        self._count(dropped=1)
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing.is_set())
            self._closing.wait(self._writer.linger_s)
            with self._changed:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_BATCH))]
            if not batch:
                break
            self._write(batch)
        try:
            self._writer.close()
        except Exception as error:
            log.warning("%s: %s", self.name, error)

    def _write(self, batch: list[Message]) -> None:
        lost, reason = 0, ""
        try:
            self._writer.write(batch, self._closing)
        except PartialWriteError as error:
            lost, reason = error.lost, str(error)
        except Exception as error:  # whatever a broken disk or network raises, scoring continues
            lost, reason = len(batch), str(error) or type(error).__name__
        with self._changed:
            self._count(written=len(batch) - lost, failed=lost)
        if lost and self._failed_since is None:
            self._failed_since = self._counts.failed - lost
            log.warning("%s: %s; messages are lost and counted", self.name, reason)
        elif not reason and self._failed_since is not None:
            log.warning("%s: works again, messages lost: %d", self.name, self._counts.failed - self._failed_since)
            self._failed_since = None

    def _count(self, written: int = 0, dropped: int = 0, failed: int = 0) -> None:
        now = self._counts
        self._counts = replace(
            now, written=now.written + written, dropped=now.dropped + dropped, failed=now.failed + failed
        )
