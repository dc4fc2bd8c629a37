"""A real RTSP server that dies, returns and freezes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from live import RtspServer, encode, moving, rtsp_missing, watching

from dpiqa.runtime.engines.base import Engine

RESTARTS = int(os.environ.get("DPIQA_RESTARTS", "5"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := rtsp_missing():
        pytest.skip(reason)
    return encode(tmp_path_factory.mktemp("rtsp") / "clip.mp4", moving(100))


def _open_resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.mark.slow
def test_a_server_that_restarts_is_found_again_every_time(
    engine: Engine, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    counts = []
    with RtspServer(clip) as server, watching(engine, {"source": server.url(user="me:hush@")}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        for number in range(1, RESTARTS + 1):
            server.kill()
            seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
            server.start()
            began = time.monotonic()
            seen.wait(lambda: seen.states()[-1:] == ["up"])
            assert time.monotonic() - began < 5
            seen.wait_for_more_readings(3)
            counts.append(_open_resources())
            assert seen.statuses()[-1].reconnects == number
        seen.wait(lambda: seen.events()[-1:] and seen.events()[-1].state == "cleared")
    losses = [event.state for event in seen.events() if event.kind == "SignalLoss"]
    assert losses == ["raised", "cleared"] * RESTARTS
    assert counts[-1][1] == counts[0][1]
    assert counts[-1][0] <= counts[0][0]
    assert {reading.source for reading in seen.readings()} == {f"rtsp://***@127.0.0.1:{server.port}/0"}
    assert "hush" not in caplog.text
    assert "hush" not in repr(seen.messages)


def test_a_stream_that_stalls_without_closing_is_reported_and_comes_back(engine: Engine, clip: Path) -> None:
    camera = {"name": "hall", "stall_s": 0.5, "read_timeout_s": 20}
    with RtspServer(clip) as server, watching(engine, {"source": server.url(), **camera}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        with server.frozen():
            time.sleep(1.5)
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        assert seen.states() == ["connecting", "up", "stalled", "up"]
        assert seen.statuses()[-1].reconnects == 0
        seen.wait(lambda: len(seen.events()) == 2)
    assert [event.state for event in seen.events() if event.kind == "SignalLoss"] == ["raised", "cleared"]


@pytest.mark.slow
def test_a_stream_that_stalls_for_long_is_opened_anew(engine: Engine, clip: Path) -> None:
    camera = {"name": "hall", "stall_s": 0.5, "read_timeout_s": 1, "open_timeout_s": 2}
    with RtspServer(clip) as server, watching(engine, {"source": server.url(), **camera}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        with server.frozen():
            time.sleep(2.5)
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        assert seen.states()[:5] == ["connecting", "up", "stalled", "down", "up"]  # a busy machine may add a stall
        reasons = {status.reason for status in seen.statuses()}
        # What FFmpeg still held when the server froze may come late on a busy machine.
        assert reasons & {"no data for 1 s", "data arrives, but no frame could be decoded for 1 s"}
