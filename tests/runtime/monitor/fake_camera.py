"""A camera that misbehaves."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

MODES = ("good", "dead", "stalled", "garbage", "other")


class FakeCamera:
    """A TCP server that sends a stream at its own speed, or misbehaves."""

    def __init__(self, streams: dict[str, bytes], seconds: float) -> None:
        self.mode = "good"
        self._streams, self._seconds = streams, seconds
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self.mode = "dead"
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        mode = self.mode
        with connection, suppress(OSError):
            if mode == "garbage":
                connection.sendall(os.urandom(200_000))
                return
            data = self._streams["other" if mode == "other" else "good"]
            size = max(1, int(len(data) / self._seconds / 25))
            while self.mode != "dead":
                for at in range(0, len(data), size):
                    if self.mode == "dead":
                        return
                    while self.mode == "stalled":
                        time.sleep(0.05)
                    connection.sendall(data[at : at + size])
                    time.sleep(0.04)
                return  # the time stamps would go back
