"""What the tests of live monitoring share: streams, servers of them, and a sink that remembers."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from made import photo
from typing_extensions import Self

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.messages import Event, LiveReading, Message, Status
from dpiqa.runtime.monitor.settings.cameras import MonitorSettings
from dpiqa.runtime.monitor.watch import Monitor

RATE = 25
_SYSTEM_PYTHON = "/usr/bin/python3"
_RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
_NEEDED = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("qtdemux", "h264parse", "rtph264pay")))
"""


class Collected:
    """A sink that keeps every message, and can be waited for."""

    name, lost = "collected", 0

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        pass

    def readings(self, source: str | None = None) -> list[LiveReading]:
        return [m for m in list(self.messages) if isinstance(m, LiveReading) and source in (None, m.source)]

    def statuses(self, source: str | None = None) -> list[Status]:
        return [m for m in list(self.messages) if isinstance(m, Status) and source in (None, m.source)]

    def events(self) -> list[Event]:
        return [m for m in list(self.messages) if isinstance(m, Event)]

    def states(self, source: str | None = None) -> list[str]:
        """The states that a source went through."""
        states = [status.state for status in self.statuses(source)]
        return [state for i, state in enumerate(states) if i == 0 or state != states[i - 1]]

    def wait(self, enough: Callable[[], object], timeout_s: float = 30) -> None:
        with self._changed:
            assert self._changed.wait_for(enough, timeout_s), f"not within {timeout_s} s: {self.statuses()[-3:]}"

    def wait_for_more_readings(self, count: int) -> None:
        enough = len(self.readings()) + count
        self.wait(lambda: len(self.readings()) >= enough)


@contextmanager
def watching(engine: Engine, *cameras: dict[str, Any], **options: Any) -> Iterator[tuple[Monitor, Collected]]:
    """Run a monitor in a thread for as long as the block lasts; `wall_clock` goes to it, the rest is configuration."""
    clock = {"wall_clock": options.pop("wall_clock")} if "wall_clock" in options else {}
    config = MonitorSettings.model_validate({"cameras": cameras, "fps": 1000, **options})
    seen = Collected()
    monitor = Monitor(config, engine, [seen], **clock)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    try:
        yield monitor, seen
    finally:
        monitor.stop()
        thread.join(10)
        for camera in monitor.cameras:
            camera.join(10)
    assert not thread.is_alive()


def encode(path: Path, frames: Sequence[np.ndarray], form: str | None = None, first_s: int = 0) -> Path:
    """Write BGR frames as H.264 in the format of the suffix or `form`: 25 a second, a key frame every second.

    The time stamps begin at `first_s`.
    """
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "25", "bf": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames, first_s * RATE):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@cache
def moving(count: int = 50, height: int = 96, width: int = 128) -> tuple[np.ndarray, ...]:
    """A picture that moves sideways."""
    picture = photo(height, width)
    return tuple(np.ascontiguousarray(np.roll(picture, 2 * number, axis=1)) for number in range(count))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served_tcp(*scripts: Callable[[socket.socket], None]) -> Iterator[str]:
    """Hand the first connection to the first script and so on, the last one takes all that follow; gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            number = 0
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    scripts[min(number, len(scripts) - 1)](connection)
                number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def ffmpeg() -> str:
    """The program, or a reason to skip."""
    return _tool("ffmpeg")


def _tool(name: str) -> str:
    import pytest

    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


@cache
def rtsp_missing() -> str | None:
    """Why there can be no RTSP server here, None where there can."""
    try:
        subprocess.run([_SYSTEM_PYTHON, "-c", _NEEDED], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return (
            "needs GStreamer's RTSP server: gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-good and -bad"
        )
    return None


class RtspServer:
    """GStreamer's RTSP server in a process of its own, that serves files over and over."""

    def __init__(self, *files: Path) -> None:
        self.port = free_port()
        self._files = files
        self._process: subprocess.Popen[str] | None = None

    def url(self, number: int = 0, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{number}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [_SYSTEM_PYTHON, str(_RTSP_SERVER), str(self.port), *map(str, self._files)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "serving\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the whole server, its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)
