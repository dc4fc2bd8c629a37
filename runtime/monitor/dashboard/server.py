"""An HTTP server in its own thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from typing import Any

import uvicorn

from dpiqa.errors import InputError, system_reason

log = logging.getLogger(__name__)

_GRACE_S = 0.05  # for responses that are nearly complete
_SHUTDOWN_S = 2.0


class Server:
    """Serves an ASGI app until closed. Raises InputError if the address cannot be bound."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listener = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            reason = system_reason(error)
            raise InputError(f"cannot serve the dashboard on {host}:{port}, {reason}") from None
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # the app logs its own failures
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener)), name="dashboard server", daemon=True
        )
        self._thread.start()
        address = f"[{host}]" if ":" in host else host
        log.info("dashboard: http://%s:%d/", address, self.port)

    def close(self) -> None:
        """Stop serving; slow responses are cut off."""
        if self._ready.wait(_SHUTDOWN_S) and self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_SHUTDOWN_S)

    async def _serve(self, listener: socket.socket) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        # Uvicorn's own shutdown polls every connection, which takes half of the time a monitor has for it.
        serving = asyncio.ensure_future(self._server.serve(sockets=[listener]))
        await self._stopping.wait()
        await asyncio.sleep(_GRACE_S)
        serving.cancel()
        await asyncio.wait([serving])
        for server in self._server.servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
