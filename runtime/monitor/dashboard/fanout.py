"""Handing messages on to browsers as Server-Sent Events; a slow one loses messages and holds up nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from dpiqa.runtime.monitor.messages import Message, to_json

_WAITING = 50  # pieces that may wait for one listener, each of a tenth of a second or more
_ALIVE_EVERY_S = 15.0
_MOST_LISTENERS = 64
_END = b""


class Fanout:
    """Gives every listener what is published from then on.

    `publish` and `close` may be called by any thread; `listen` belongs to the server's event loop.
    """

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self.lost = 0

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._queues)

    @property
    def is_full(self) -> bool:
        """Whether there is room for no more listeners."""
        return len(self._queues) >= _MOST_LISTENERS

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to all listeners."""
        if self._queues and messages:
            piece = b"".join(_event(message) for message in messages)
            self._soon(piece, len(messages))

    def close(self) -> None:
        """End all listening, now and in future."""
        self._closing.set()
        self._soon(_END, 0)

    async def listen(self) -> AsyncIterator[bytes]:
        """Server-Sent Events: the messages as JSON, each under the name of its type, until `close`.

        A `lost` event says that this listener was too slow, and how many messages it was not given.
        """
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._queues.add(queue)
        try:
            yield b"retry: 1000\nevent: hello\ndata: {}\n\n"
            while not self._closing.is_set():
                try:
                    piece = await asyncio.wait_for(queue.get(), _ALIVE_EVERY_S)
                except asyncio.TimeoutError:
                    piece = b": alive\n\n"
                if piece == _END:
                    return
                yield piece
        finally:
            self._queues.discard(queue)

    def _soon(self, piece: bytes, count: int) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and with it all listening
                self._loop.call_soon_threadsafe(self._push, piece, count)

    def _push(self, piece: bytes, count: int) -> None:
        for queue in self._queues:
            if queue.full():
                missed = count + sum(queue.get_nowait().count(b"\ndata: ") for _ in range(queue.qsize()))
                self.lost += missed
                queue.put_nowait(f"event: lost\ndata: {json.dumps({'messages': missed})}\n\n".encode())
                if piece != _END:
                    continue
            queue.put_nowait(piece)


def _event(message: Message) -> bytes:
    found = to_json(message)
    return f"event: {found['type']}\ndata: {json.dumps(found)}\n\n".encode()
