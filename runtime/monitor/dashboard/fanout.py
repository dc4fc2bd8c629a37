"""Sends messages to browsers as Server-Sent Events; a slow one loses messages and delays nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from dpiqa.runtime.monitor.messages import Message, to_json

_MAX_QUEUED = 50  # chunks queued for one listener, each of a tenth of a second or more
_KEEP_ALIVE_S = 15.0
_MAX_LISTENERS = 64
_END = b""


class Fanout:
    """Sends each listener the messages published from then on.

    `publish` and `close` may be called from any thread, `listen` only in the server's event loop.
    """

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self.lost = 0

    @property
    def listeners(self) -> int:
        """Number of listeners."""
        return len(self._queues)

    @property
    def is_full(self) -> bool:
        """Whether no more listeners are accepted."""
        return len(self._queues) >= _MAX_LISTENERS

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages to all listeners."""
        if self._queues and messages:
            chunk = b"".join(_event(message) for message in messages)
            self._push_threadsafe(chunk, len(messages))

    def close(self) -> None:
        """End all streams, now and in future."""
        self._closing.set()
        self._push_threadsafe(_END, 0)

    async def listen(self) -> AsyncIterator[bytes]:
        """Server-Sent Events: the messages as JSON, each under the name of its type, until `close`.

        A `lost` event gives the number of messages that this listener missed because it was too slow.
        """
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes] = asyncio.Queue(_MAX_QUEUED)
        self._queues.add(queue)
        try:
            yield b"retry: 1000\nevent: hello\ndata: {}\n\n"
            while not self._closing.is_set():
                try:
                    chunk = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_S)
                except asyncio.TimeoutError:
                    chunk = b": alive\n\n"
                if chunk == _END:
                    return
                yield chunk
        finally:
            self._queues.discard(queue)

    def _push_threadsafe(self, chunk: bytes, count: int) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and all streams with it
                self._loop.call_soon_threadsafe(self._push, chunk, count)

    def _push(self, chunk: bytes, count: int) -> None:
        for queue in self._queues:
            if queue.full():
                missed = count + sum(queue.get_nowait().count(b"\ndata: ") for _ in range(queue.qsize()))
                self.lost += missed
                queue.put_nowait(f"event: lost\ndata: {json.dumps({'messages': missed})}\n\n".encode())
                if chunk != _END:
                    continue
            queue.put_nowait(chunk)


def _event(message: Message) -> bytes:
    document = to_json(message)
    return f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode()
