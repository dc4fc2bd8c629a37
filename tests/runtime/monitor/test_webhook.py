"""Webhooks to a real server: refused, tried again, dead."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from messages import event, reading, wait_for
from real_servers import free_port, sinks_of


class Hook:
    """A server that answers as it is told to, with all that it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posted: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                code = hook.answers.pop(0) if hook.answers else 200
                hook.posted.append((code, body, dict(self.headers)))
                self.send_response(code)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def test_a_webhook_is_tried_again_until_the_server_takes_it(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answers = [503, 429, 200, 404, 200]
    url = f"http://user:secret@127.0.0.1:{hook.port}/in?token=secret"
    webhook = {"url": url, "headers": {"x-key": "secret"}, "thumbnail": True}
    with sinks_of(webhooks=[webhook]) as (sink,):
        for message in (event(), reading(), replace(event(), muted=True), event("cleared"), event("raised", "Black")):
            sink.put(message)
        wait_for(lambda: len(hook.posted) == 5, "all was posted", 20)
    assert [(code, body["kind"], body["state"]) for code, body, _ in hook.posted] == [
        (503, "Frozen", "raised"),
        (429, "Frozen", "raised"),
        (200, "Frozen", "raised"),
        (404, "Frozen", "cleared"),  # is never taken, and not tried again
        (200, "Black", "raised"),
    ]
    assert hook.posted[0][1]["thumbnail"] == "/9hqcGVn"
    assert hook.posted[0][2]["x-key"] == "secret"
    assert (sink.counts.written, sink.counts.failed) == (3, 1)  # a muted event is done with
    assert "127.0.0.1 responds with 404" in caplog.text
    assert "secret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("runtime", "httpx"))
    )


def test_a_dead_server_delays_neither_scoring_nor_the_end() -> None:
    with sinks_of(webhooks=[{"url": f"http://127.0.0.1:{free_port()}", "queue": 5}]) as (sink,):
        began = time.perf_counter()
        for _ in range(1000):
            sink.put(event())
        assert time.perf_counter() - began < 0.5
        assert sink.counts.dropped >= 900
        began = time.perf_counter()
        sink.close(2)
        assert time.perf_counter() - began < 2
        assert sink.counts.written == 0
        assert sink.counts.dropped + sink.counts.failed == 1000
