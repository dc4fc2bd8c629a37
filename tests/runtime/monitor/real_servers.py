"""What the tests of network sinks share: programs of the system, ports, and sinks that are closed."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dpiqa.runtime.monitor.settings.sinks import SinkSettings
from dpiqa.runtime.monitor.sinks.queued import QueuedSink
from dpiqa.runtime.monitor.sinks.registry import SinkSet


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name} (Debian package {'prometheus' if name == 'promtool' else name})")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def sinks_of(**settings: object) -> Iterator[list[QueuedSink]]:
    sinks = SinkSet(SinkSettings.model_validate({"sqlite": None} | settings)).sinks
    try:
        yield sinks
    finally:
        for sink in sinks:
            sink.close(5)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Proxy(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """The page leaves while a stream goes on."""


@contextmanager
def behind_proxy(port: int, path: str) -> Iterator[str]:
    """A reverse proxy that serves a local port under a path of its own, which it takes away; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as upstream:
                upstream.request(self.command, self.path[len(path) - 1 :], body, dict(self.headers))
                with upstream.getresponse() as answer:
                    self._pass_on(answer)

        def _pass_on(self, answer: http.client.HTTPResponse) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(65536):
                self.wfile.write(part)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Proxy(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{path}"
        finally:
            server.shutdown()
            thread.join()
