"""What each kind of source gives, also when it is damaged, changes, or lacks time stamps."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from live import RATE, encode, ffmpeg, free_port, moving, served_tcp, watching
from made import photo
from pydantic import ValidationError

from dpiqa.runtime.engines.base import Engine
from dpiqa.runtime.monitor.settings.cameras import CameraSettings

QUICK = {"open_timeout_s": 5, "read_timeout_s": 1, "reconnect_ceiling_s": 0.5}


def _slowly(data: bytes, seconds: float = 1.0, then: Callable[[socket.socket], None] | None = None) -> Callable:
    def send(connection: socket.socket) -> None:
        size = max(1, len(data) // 20)
        for begin in range(0, len(data), size):
            connection.sendall(data[begin : begin + size])
            time.sleep(seconds / 20)
        if then:
            then(connection)

    return send


def test_a_file_is_read_to_its_end_and_no_frame_is_dropped(engine: Engine, stream: Path) -> None:
    with watching(engine, {"source": str(stream)}, fps=10) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] == ["ended"])
        readings = seen.readings()
        assert [reading.index for reading in readings] == [int(2.5 * number + 0.5) for number in range(20)]
        assert readings[1].pts_s == pytest.approx(3 / RATE)
        assert [(reading.width, reading.height) for reading in readings[:1]] == [(128, 96)]
        assert set(readings[0].latency_ms) == {"decode", "wait", "preprocess", "infer", "signals", "total"}
        assert seen.statuses()[-1].dropped == 0
        assert seen.statuses()[-1].reason == "source ended"
        assert not [event for event in seen.events() if event.kind == "SignalLoss"]


def test_a_paced_file_takes_its_time(engine: Engine, stream: Path) -> None:
    began = time.monotonic()
    with watching(engine, {"source": str(stream), "paced": True}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert 1.9 < time.monotonic() - began < 6
    assert len(seen.readings()) == 50


def test_a_file_without_time_stamps_gets_them_from_its_frame_rate(engine: Engine, tmp_path: Path) -> None:
    raw = encode(tmp_path / "raw.h264", moving(), "h264")
    with watching(engine, {"source": str(raw)}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    times = [reading.pts_s or 0.0 for reading in seen.readings()]
    assert len(times) == 50
    assert all(after - before == pytest.approx(1 / RATE) for before, after in pairwise(times))


def test_a_live_stream_without_time_stamps_is_scored(engine: Engine, tmp_path: Path) -> None:
    raw = encode(tmp_path / "raw.h264", moving(150), "h264").read_bytes()
    with served_tcp(_slowly(raw, 3)) as url, watching(engine, {"source": url, **QUICK}) as (_, seen):
        seen.wait(lambda: len(seen.readings()) > 10)
    assert {reading.pts_s for reading in seen.readings()} == {None}


def test_a_stream_may_change_its_resolution(engine: Engine, tmp_path: Path) -> None:
    small = encode(tmp_path / "small.ts", moving()).read_bytes()
    large = encode(tmp_path / "large.ts", moving(50, 240, 320)).read_bytes()
    with served_tcp(_slowly(small + large, 3)) as url, watching(engine, {"source": url, **QUICK}) as (_, seen):
        seen.wait(lambda: len({reading.width for reading in seen.readings()}) == 2)
    sizes = [(reading.width, reading.height) for reading in seen.readings()]
    assert sizes == sorted(sizes)
    assert set(sizes) == {(128, 96), (320, 240)}
    assert seen.states()[:2] == ["connecting", "up"]
    assert seen.statuses()[-1].reconnects == 0


def test_time_stamps_that_jump_make_no_moment_last(engine: Engine, tmp_path: Path) -> None:
    black = [np.zeros_like(photo())] * 5
    before = encode(tmp_path / "before.ts", [*moving(), *black], first_s=1).read_bytes()
    after = encode(tmp_path / "after.ts", [*black, *moving()], first_s=40).read_bytes()
    camera = {**QUICK, "alarms": {"black": {"hold_s": 10}}}
    with served_tcp(_slowly(before + after, 3)) as url, watching(engine, {"source": url, **camera}) as (_, seen):
        seen.wait(lambda: any((reading.pts_s or 0) > 40 for reading in seen.readings()))
        assert min(reading.score for reading in seen.readings()) < 5
        assert "Black" not in {event.kind for event in seen.events()}


def test_a_stream_may_turn_to_garbage_for_a_while(engine: Engine, stream: Path) -> None:
    good, garbage = stream.read_bytes(), np.random.default_rng(0).bytes(20_000)
    with (
        served_tcp(_slowly(good + garbage + good * 3, 2)) as url,
        watching(engine, {"source": url, **QUICK}) as (_, seen),
    ):
        seen.wait(lambda: any(reading.index > 110 for reading in seen.readings()))
        assert {status.state for status in seen.statuses()} == {"connecting", "up"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (np.random.default_rng(1).bytes(50_000), "no data for 1 s"),
        # Units that end a frame and units of a reserved type: packets arrive, and there is nothing in them.
        (b"\0\0\0\1\x09\xf0\0\0\1\x1e" + b"junk" * 99, "data arrives, but no frame could be decoded for 1 s"),
    ],
    ids=["noise", "empty"],
)
def test_what_stays_garbage_is_left_and_tried_again(
    engine: Engine, tmp_path: Path, garbage: bytes, reason: str
) -> None:
    form = "h264" if "decoded" in reason else "mpegts"
    good = encode(tmp_path / "good", moving(), form).read_bytes()

    def garbage_for_ever(connection: socket.socket) -> None:
        while True:
            connection.sendall(garbage)
            time.sleep(0.05)

    with (
        served_tcp(_slowly(good, 1, garbage_for_ever), _slowly(good * 5, 5)) as url,
        watching(engine, {"source": url, "name": "gate", **QUICK}) as (_, seen),
    ):
        seen.wait(lambda: seen.states()[-1:] == ["up"] and "down" in seen.states())
        assert seen.states() == ["connecting", "up", "down", "up"]
        seen.wait(lambda: seen.events()[-1:] and seen.events()[-1].state == "cleared")
    assert [status.reason for status in seen.statuses() if status.state == "down"] == [reason]
    assert [event.state for event in seen.events() if event.kind == "SignalLoss"] == ["raised", "cleared"]


@pytest.mark.slow
def test_a_server_that_says_nothing_is_left(engine: Engine, stream: Path) -> None:
    with (
        served_tcp(lambda _: time.sleep(3), _slowly(stream.read_bytes() * 3, 4)) as url,
        watching(engine, {"source": url, **QUICK, "open_timeout_s": 0.5}) as (_, seen),
    ):
        seen.wait(lambda: "up" in seen.states())
        assert seen.statuses()[1].reason == "no answer within 0.5 s"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.mp4", b"no video\n" * 50, "not a video that can be decoded"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n", ""),
        ("empty.ts", b"", "the file is empty"),
    ],
)
def test_a_file_that_is_no_video_is_reported(
    engine: Engine, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with watching(engine, {"source": str(tmp_path / name)}) as (monitor, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
        assert reason in seen.statuses()[-1].reason
        assert not monitor.cameras[0].delivered


def test_frames_too_small_to_judge_are_refused(engine: Engine, tmp_path: Path) -> None:
    tiny = encode(tmp_path / "tiny.ts", [photo(16, 16)] * 30)
    with watching(engine, {"source": str(tiny)}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert "16x16 pixels is too small" in seen.statuses()[-1].reason


def test_a_folder_gives_what_is_put_into_it(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    jpeg = cv2.imencode(".jpg", photo())[1].tobytes()
    (folder / "before.jpg").write_bytes(jpeg)
    with watching(engine, {"source": str(folder), "name": "in"}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] == ["up"])
        (folder / "notes.txt").write_text("no picture")
        (folder / "growing.jpg").write_bytes(jpeg[: len(jpeg) // 2])
        (folder / "whole.jpg").write_bytes(jpeg)
        seen.wait(lambda: len(seen.readings()) == 1)
        (folder / "growing.jpg").write_bytes(jpeg)
        seen.wait(lambda: len(seen.readings()) == 2)
        time.sleep(0.1)
        (folder / "part").write_bytes(cv2.imencode(".png", photo(level=40))[1].tobytes())
        (folder / "part").replace(folder / "before.jpg")
        seen.wait(lambda: len(seen.readings()) == 3)
        assert seen.readings()[2].score < seen.readings()[0].score
        folder.rename(tmp_path / "away")
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
        assert "no such file or directory" in seen.statuses()[-1].reason
        (tmp_path / "away").rename(folder)
        seen.wait(lambda: seen.states()[-1:] == ["up"])
    assert len(seen.readings()) == 3


@pytest.mark.parametrize(
    ("source", "reason"),
    [("/dev/video99", "the camera cannot be opened"), ("srt://127.0.0.1:9", "protocol not found")],
)
def test_what_is_not_there_is_tried_again(engine: Engine, source: str, reason: str) -> None:
    with watching(engine, {"source": source, **QUICK}) as (monitor, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
        assert reason in seen.statuses()[-1].reason
        assert not monitor.cameras[0].finished


@pytest.mark.parametrize("kind", ["cuda", "vaapi"])
def test_without_the_hardware_the_cpu_decodes_and_the_log_says_why(
    engine: Engine, stream: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(engine, {"source": str(stream), "hwaccel": kind}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert len(seen.readings()) == 50
    (line,) = (line for line in caplog.messages if line.endswith("decoding on the CPU"))
    assert f"'{kind}'" in line


def test_key_frames_alone_are_decoded_where_asked(engine: Engine, tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.ts", moving(100))
    with watching(engine, {"source": str(clip), "frames": "keyframes"}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert [reading.pts_s for reading in seen.readings()] == pytest.approx([0, 1, 2, 3], abs=0.01)
    with watching(engine, {"source": str(clip)}) as (_, whole):
        whole.wait(lambda: whole.states()[-1:] in (["down"], ["ended"]))
    expected = [reading.score for reading in whole.readings() if reading.index % 25 == 0]
    assert [reading.score for reading in seen.readings()] == pytest.approx(expected, abs=1e-3)


def test_between_key_frames_a_camera_is_neither_stalled_nor_frozen(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clip = encode(tmp_path / "still.ts", moving(1) * 100)
    frozen = {"hold_s": 0.4}
    camera = {"source": str(clip), "live": True, "paced": True, "stall_s": 0.4, "alarms": {"frozen": frozen}}
    with watching(engine, {**camera, "name": "a", "frames": "keyframes"}, {**camera, "name": "b"}) as (_, seen):
        seen.wait(lambda: len(seen.readings("a")) >= 4)
    assert set(seen.states("a")) <= {"connecting", "up", "down", "ended"}
    assert {event.source for event in seen.events() if event.kind == "Frozen"} == {"b"}
    assert "a: only key frames are decoded, the alarm Frozen is off" in caplog.messages


def test_a_source_without_key_frames_is_refused() -> None:
    with pytest.raises(ValidationError, match="a device has no key frames"):
        CameraSettings(source="/dev/video0", frames="keyframes")


@pytest.mark.slow
def test_hls_is_watched_at_the_speed_at_which_it_is_shown(engine: Engine, tmp_path: Path) -> None:
    source = encode(tmp_path / "long.ts", moving(300))
    playlist = ["-f", "hls", "-hls_time", "1", "-hls_flags", "delete_segments", str(tmp_path / "live.m3u8")]
    handler = partial(_Silent, directory=str(tmp_path))
    command = [ffmpeg(), "-v", "error", "-re", "-i", str(source), "-c", "copy", *playlist]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, subprocess.Popen(command) as process:
        threading.Thread(target=server.serve_forever).start()
        try:
            camera = {"source": f"http://127.0.0.1:{server.server_port}/live.m3u8", **QUICK, "read_timeout_s": 5}
            with watching(engine, camera, fps=10) as (_, seen):
                seen.wait(lambda: len(seen.readings()) >= 25)
        finally:
            server.shutdown()
            process.kill()
    steps = [after.wall_time - before.wall_time for before, after in pairwise(seen.readings())]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.1, abs=0.05)


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_mpeg_ts_over_udp_is_watched(engine: Engine, tmp_path: Path) -> None:
    source = encode(tmp_path / "long.ts", moving(300))
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    command = [ffmpeg(), "-v", "error", "-re", "-i", str(source), "-c", "copy", "-f", "mpegts", f"{url}?pkt_size=1316"]
    with watching(engine, {"source": url, **QUICK}) as (_, seen):
        with subprocess.Popen(command) as process:
            seen.wait(lambda: len(seen.readings()) >= 25)
            process.kill()
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    assert "no data for 1 s" in [status.reason for status in seen.statuses()]


def test_a_pipeline_needs_an_opencv_with_gstreamer(engine: Engine) -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pipeline = {"source": "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=64", "name": "test"}
        with watching(engine, pipeline) as (_, seen):
            seen.wait(lambda: len(seen.readings()) > 5)
    else:
        with watching(engine, {"source": "videotestsrc ! fakesink", "name": "test"}) as (_, seen):
            seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
        assert "lacks GStreamer" in seen.statuses()[-1].reason


@pytest.mark.slow
def test_nothing_is_left_open(engine: Engine, stream: Path) -> None:
    def resources() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    with watching(engine, {"source": str(stream)}) as (_, seen):
        seen.wait(lambda: seen.states()[-1:] in (["down"], ["ended"]))
    before = resources()
    for _ in range(5):
        with watching(engine, {"source": str(stream)}, {"source": "tcp://127.0.0.1:9", **QUICK}) as (_, seen):
            seen.wait(lambda: len(seen.readings()) == 50)
    assert resources() == before
