"""An HTTP server in its own thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dpiqa.errors import InputError, system_reason

log = logging.getLogger(__name__)

_GRACE_S = 0.05  # for responses that are nearly complete
_SHUTDOWN_S = 2.0
_MOST_CONNECTIONS, _REQUEST_S, _LONGEST_HEAD = 64, 10.0, 32_768


class _Patient(H11Protocol):
    """A connection that must make its request, with its headers and body, within some seconds, and be one of few."""

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
            return
        self._expect_request()

    def on_response_complete(self) -> None:
        """See H11Protocol."""
        super().on_response_complete()
        self._expect_request()

    def _expect_request(self) -> None:
        cycle = self.cycle
        self.loop.call_later(_REQUEST_S, lambda: self._give_up(cycle))

    def _give_up(self, before: Any) -> None:
        """Close where nothing has been asked since, or the question has not been finished."""
        is_asked = self.cycle is not before and self.cycle is not None and not self.cycle.more_body
        if not is_asked and not self.transport.is_closing():
            self.transport.abort()


class Server:
    """Serves an ASGI app until closed; `name` says what it is. Raises InputError if the address cannot be bound.

    At most 64 connections are open at a time, so that strangers leave handles for cameras.
    """

    def __init__(self, app: Any, host: str, port: int, name: str = "the dashboard") -> None:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listener = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            reason = system_reason(error)
            raise InputError(f"cannot serve {name} on {host}:{port}, {reason}") from None
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=_Patient,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # the app logs its own failures
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener)), name=f"server of {name}", daemon=True
        )
        self._thread.start()
        address = f"[{host}]" if ":" in host else host
        log.info("%s: http://%s:%d/", name.removeprefix("the "), address, self.port)

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
