"""Targets of a monitor's sinks that can be made to fail: a disk, a broker, a web server."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from typing_extensions import Self

from dpiqa.errors import ToolError

_DISK_MB = 64


class Breakable(Protocol):
    """The target of a sink."""

    name: str
    sink: str

    @property
    def received(self) -> int:
        """The amount that has arrived there."""
        ...

    def failing(self) -> Any:
        """A context in which it fails."""
        ...


class Disk:
    """A small disk, with a history on it."""

    name, sink = "disk full", "sqlite"

    def __init__(self, place: Path) -> None:
        self._place, self._ballast = place, place / "ballast"
        self.history = place / "history.db"

    def __enter__(self) -> Self:
        self._place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(self._place)]
        ended = subprocess.run(mount, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise ToolError(f"a full disk needs the right to mount a tmpfs ({ended.stderr.strip()}), run as root")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self._place)], check=True)

    @property
    def received(self) -> int:
        """Readings in the history."""
        with closing(sqlite3.connect(self.history)) as db:
            return db.execute("SELECT count(*) FROM readings").fetchone()[0]

    @contextmanager
    def failing(self) -> Iterator[None]:
        """No space is left on it."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        try:
            yield
        finally:
            self._ballast.unlink()


class Broker:
    """Mosquitto, and a client that counts the readings it is sent."""

    name, sink = "broker dead", "mqtt"

    def __init__(self, folder: Path) -> None:
        self._port, self._settings = free_port(), folder / "mosquitto.conf"
        self._settings.write_text(f"listener {self._port} 127.0.0.1\nallow_anonymous true\n")
        self.url = f"mqtt://127.0.0.1:{self._port}"
        self.received = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._start()
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._stop()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """It is killed, and restarted at the end."""
        self._stop()
        yield
        self._start()

    def _start(self) -> None:
        mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if mosquitto is None:
            raise ToolError("mosquitto is not installed: apt install mosquitto brings it")
        self._process = subprocess.Popen([mosquitto, "-c", str(self._settings)], stderr=subprocess.DEVNULL)
        while self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            sleep(0.05)
        raise ToolError(f"mosquitto ended with exit status {self._process.returncode}")

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe("dpiqa/+/reading")

    def _on_message(self, *_: object) -> None:
        self.received += 1


class Hook:
    """A web server that counts the posts that it receives."""

    name, sink = "webhook dead", "webhook-1"

    def __init__(self) -> None:
        self._port, self.received = free_port(), 0
        self.url = f"http://127.0.0.1:{self._port}/in"

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """It is stopped until the end."""
        self._stop()
        yield
        self._start()

    def _start(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                hook.received += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever).start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
