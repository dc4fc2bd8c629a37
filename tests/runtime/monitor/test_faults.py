"""What a monitor's surroundings may do to it: taken ports, lost files, servers that never end, strangers."""

from __future__ import annotations

import json
import logging
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from live import encode, moving
from messages import BEGAN, event, reading, wait_for

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.alarms.kept import MemoryFile
from dpiqa.runtime.monitor.dashboard import server as web
from dpiqa.runtime.monitor.history import writer
from dpiqa.runtime.monitor.history.writer import History
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.settings.sinks import HistorySettings, SinkSettings
from dpiqa.runtime.monitor.sinks.registry import SinkSet
from dpiqa.runtime.monitor.sources import open_source


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on this machine that treats every connection as `answer` does; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def sinks(**sections: object) -> SinkSettings:
    return SinkSettings.model_validate({"sqlite": None} | sections)


def test_a_failed_reload_leaves_every_sink_as_it_was(tmp_path: Path) -> None:
    before = sinks(jsonl=tmp_path / "a.jsonl", prometheus="127.0.0.1:0", csv=tmp_path / "a.csv")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        opened = SinkSet(before)
        untouched = opened.sinks[1]
        with pytest.raises(InputError, match="cannot serve metrics"):
            opened.replace(sinks(jsonl=tmp_path / "a.jsonl", prometheus=f"127.0.0.1:{port}", csv=tmp_path / "b.csv"))
    assert sorted(sink.name for sink in opened.sinks) == ["csv", "jsonl", "prometheus"]
    assert untouched in opened.sinks
    for sink in opened.sinks:
        sink.put(reading())
    opened.close(5)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2


def test_a_sink_that_cannot_be_restored_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    opened = SinkSet(sinks(jsonl=folder / "a.jsonl", csv=tmp_path / "a.csv"))
    (folder / "a.jsonl").unlink()
    folder.rmdir()
    with pytest.raises(InputError):
        opened.replace(sinks(jsonl=tmp_path / "gone" / "b.jsonl", csv=tmp_path / "a.csv"))
    assert [sink.name for sink in opened.sinks] == ["csv"]
    assert not opened.is_complete
    folder.mkdir()
    opened.retry()
    assert opened.is_complete
    assert sorted(sink.name for sink in opened.sinks) == ["csv", "jsonl"]
    opened.close(5)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX signals")
def test_a_signal_in_the_first_second_does_no_harm(tmp_path: Path, model_path: Path) -> None:
    clip = encode(tmp_path / "clip.ts", moving(200))
    settings, out = tmp_path / "cameras.yaml", tmp_path / "out.jsonl"
    settings.write_text(
        f"model: {model_path}\nsinks: {{sqlite: null, jsonl: {out}}}\n"
        f"cameras: [{{source: {clip}, name: cam, paced: true, live: true}}]\n"
    )
    # The signal comes while the settings are read, before there is an engine.
    code = (
        "import os, signal, dpiqa.runtime.monitor.service as s\nreal = s.load_settings\n"
        "def once(path):\n    s.load_settings = real\n    os.kill(os.getpid(), signal.SIGHUP)\n    return real(path)\n"
        "s.load_settings = once\n"
        "from dpiqa.cli import main\nmain()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "monitor", settings], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: out.exists() and '"reading"' in out.read_text(), "readings", 20)
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "reloaded, monitoring 1 source" in errors
    assert all(line[:4].isdigit() and line.split()[1] in ("INFO", "WARNING") for line in errors.splitlines())


LOSSES: dict[str, Callable[[Path], object]] = {
    "is gone": lambda path: path.unlink(),
    "was replaced": lambda path: path.with_name("other").write_bytes(b"") or path.with_name("other").replace(path),
    "is damaged": lambda path: path.write_bytes(b"garbage " * 4096),
}


@pytest.mark.parametrize("reason", LOSSES)
def test_a_lost_history_is_noticed_and_begun_anew(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "_CHECK_EVERY_S", 0.0)
    path = tmp_path / "history.db"
    history = History(HistorySettings(path=path))
    history.write([reading(1)], threading.Event())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    LOSSES[reason](path)
    with caplog.at_level(logging.WARNING):
        history.write([reading(2), event()], threading.Event())
        history.write([reading(3)], threading.Event())
    history.close()
    assert [record.getMessage() for record in caplog.records if reason in record.getMessage()]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT wall_time FROM readings ORDER BY 1").fetchall() == [(BEGAN + 2,), (BEGAN + 3,)]
        assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert len(list(tmp_path.glob("history.db.*.aside"))) == (reason != "is gone")


def _drip(connection: socket.socket) -> None:
    connection.recv(65536)
    while True:
        connection.sendall(b"H")
        time.sleep(0.05)


def _never_end(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(("answer", "written"), [(_drip, 0), (_never_end, 1)])
def test_a_webhook_that_never_ends_is_left(answer: Callable[[socket.socket], None], written: int) -> None:
    with listening(answer) as port:
        webhook = {"url": f"http://127.0.0.1:{port}/", "timeout_s": 0.3, "give_up_s": 0.3}
        opened = SinkSet(sinks(webhooks=[webhook]))
        (sink,) = opened.sinks
        began = time.monotonic()
        sink.put(event())
        wait_for(lambda: sink.counts.written + sink.counts.failed == 1, "an outcome", 5)
        assert time.monotonic() - began < 4
        assert sink.counts.written == written
        opened.close(1)


def test_idle_strangers_hold_few_handles_and_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_REQUEST_S", 1.0)

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    served = web.Server(app, "127.0.0.1", 0, "metrics")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ExitStack() as stack:
        for _ in range(200):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            with suppress(OSError):
                stranger.sendall(b"GET / HTTP/1.1\r\nHost: a")
        time.sleep(0.5)
        assert len(list(Path("/proc/self/fd").iterdir())) - before - 200 <= 64 + 8  # the loop has some of its own
        time.sleep(1)
        with urlopen(f"http://127.0.0.1:{served.port}/", timeout=5) as response:
            assert response.read() == b"here"
    served.close()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("rtsp://no-such-camera.invalid/a", "no such host: no-such-camera.invalid"),
        ("http://127.0.0.1:{port}/", "what answers is not video that can be decoded"),
    ],
)
def test_the_reason_is_named_right(source: str, reason: str) -> None:
    def garbage(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"garbage " * 2500)

    with listening(garbage) as port:
        camera = CameraSettings(source=source.format(port=port), open_timeout_s=5)
        with pytest.raises(InputError) as caught:
            next(open_source(camera))
        assert str(caught.value) == reason


def test_what_alarms_know_is_kept_and_a_damaged_file_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    file = MemoryFile(path, "a 1")
    assert file.load() == {}
    file.save({"cam": {"changed_since": None}})
    assert file.load() == {"cam": {"changed_since": None}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert MemoryFile(path, "another").load() == {}
    for text in ("", "[]", "{", json.dumps({"version": 1}), "[" * 100_000):
        path.write_text(text)
        assert file.load() == {}
