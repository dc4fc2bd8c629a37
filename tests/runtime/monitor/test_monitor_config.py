"""The settings file: what it says, where it is wrong, and that it keeps secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dpiqa.errors import InputError
from dpiqa.runtime.monitor.settings.cameras import CameraSettings
from dpiqa.runtime.monitor.settings.file import load_settings
from dpiqa.runtime.monitor.settings.redact import redact

GOOD = """\
model: mine.onnx
fps: 2
cameras:
  - name: door
    source: rtsp://viewer:${DOOR_PASSWORD}@10.0.0.4/stream
    fps: 10
    alarms:
      frozen: {hold_s: 20}
  - source: rtsp://viewer:${file:%s}@10.0.0.5/stream?channel=2
sinks:
  jsonl: readings.jsonl
  sqlite: null
"""


def _write(folder: Path, text: str) -> Path:
    (folder / "cameras.yaml").write_text(text)
    return folder / "cameras.yaml"


def test_a_good_file_is_read_with_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "hush")
    (tmp_path / "secret").write_text("quiet\n")
    settings = load_settings(_write(tmp_path, GOOD % (tmp_path / "secret")))
    door, other = settings.resolved()
    assert (door.name, door.fps, door.source) == ("door", 10, "rtsp://viewer:hush@10.0.0.4/stream")
    assert (other.name, other.fps) == ("rtsp://***@10.0.0.5/stream?channel=2", 2)
    assert other.source == "rtsp://viewer:quiet@10.0.0.5/stream?channel=2"
    assert door.alarms.frozen.hold_s == 20
    assert settings.sinks.sqlite is None
    assert "hush" not in repr(settings)
    assert "quiet" not in repr(settings)


def test_the_example_is_a_good_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "hush")
    door, yard = load_settings(Path(__file__).parents[3] / "examples" / "monitor" / "cameras.yaml").resolved()
    assert (door.name, door.fps, yard.fps) == ("door", 5, 1)
    assert not yard.alarms.frozen.enabled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cameras:\n  - source: a.mp4\n    fps: -1\n", ":3: cameras.0.fps: Input should be greater than 0"),
        ("cameras:\n  - source: a.mp4\n    rate: 3\n", ":3: cameras.0.rate: there is no such field"),
        ("cameras:\n  - name: a\n", ":2: cameras.0.source: is missing"),
        ("fps: 5\nfps: 6\n", ":2: not YAML: 'fps' appears twice"),
        ("fps: [1\n", ":2: not YAML: "),
        ("cameras:\n\t- a\n", ":2: not YAML: "),
        ("- a\n", ": expected fields such as 'cameras:', found list"),
        ("", ": expected fields such as 'cameras:', found nothing"),
        ("cameras: a.mp4\n", ":1: cameras: expected a list"),
        ("fps: .nan\n", ":1: fps: "),
        ("cameras:\n  - source: a.mp4\n  - source: a.mp4\n", ":1: 2 cameras are called 'a.mp4'"),
        (
            "cameras:\n  - source: a://${NO_SUCH}/\n",
            ":2: cameras.0.source: the environment variable NO_SUCH is not set",
        ),
        ("model: ${file:/no/such}\n", ":1: model: /no/such: no such file or directory"),
        ("fps: 1\nengine: 3\n", ":2: engine: Input should be a valid string"),
        ("sinks:\n  mqtt: http://user:hush@h\n", ":2: sinks.mqtt.url: expected a URL that begins with mqtt://"),
        ("fps: &a [*a]\n", ":1: not YAML: too many or too deeply nested values"),
        (
            "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
            "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n",
            ": not YAML: too many or too deeply nested values",
        ),
        ("cameras:\n  - source: foo://h/a\n", ":2: cameras.0.source: unknown scheme 'foo', expected one of rtsp,"),
        ("cameras:\n  - source: rtsp://h/a\n    hwaccel: cudo\n", ":3: cameras.0.hwaccel: unknown accelerator 'cudo'"),
        (
            "cameras:\n  - source: rtsp://h/a\n    alarms:\n      image_too_dark: {raise_at: 2, clear_at: 3}\n",
            "raise_at is below clear_at",
        ),
        ("cameras:\n  - sorce: rtsp://h/a\n", "there is no such field, did you mean 'source'?"),
        ("cameras:\n  - source: rtsp://h/a\n    alarms: {frozn: {}}\n", "did you mean 'frozen'?"),
        ("cameras:\n  - source: 'a\x01b'\n", ": not YAML: "),
        ("cameras: [rtsp://h/a]\n", ":1: cameras.0: expected fields such as"),
        ("fps: yes\n", ":1: fps: expected something else than yes or no"),
        ("threads: 65\n", ":1: threads: Input should be less than or equal to 64"),
        ("model: !!binary aGVsbG8=\n", ":1: model: expected a path"),
        ('cameras:\n  - source: "rtsp://h/a\\0b"\n', ":2: cameras.0.source: there are control characters"),
        ("cameras:\n  - source: rtsp://h:99999/a\n", ":2: cameras.0.source: expected rtsp://HOST/..."),
        ("cameras:\n  - source: rtsp://me:hush#1@h/a\n", "a / ? or # in a password is written %2F, %3F or %23"),
        ("cameras:\n  - source: rtsp:///a\n", ":2: cameras.0.source: expected rtsp://HOST/..."),
        ("cameras:\n  - source: rtsp://[::1/a\n", ":2: cameras.0.source: expected rtsp://HOST/..."),
        ("sinks: {jsonl: a.x, csv: ./a.x}\n", ":1: sinks: 2 sinks write to"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_field(tmp_path: Path, text: str, words: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}:")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or directory"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"model: \xe9\n")
    with pytest.raises(InputError, match="not UTF-8 text"):
        load_settings(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("source", "redacted"),
    [
        ("rtsp://10.0.0.4:554/a?channel=1&subtype=0", "rtsp://10.0.0.4:554/a?channel=1&subtype=0"),
        ("rtsp://u:p@ss/w@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p w!x@h/x", "rtsp://***@h/x"),
        (
            "a location=rtsp://u:p!w@h ! b location='rtsp://u:p w@h/x'",
            "a location=rtsp://***@h ! b location='rtsp://***@h/x'",
        ),
        ("http://h/x.m3u8?token=abc&k=1", "http://h/x.m3u8?token=***&k=1"),
        ("rtsp://h/user=admin_password=x_1_channel=1.sdp", "rtsp://h/user=***"),
        ("srt://h:9?passphrase=hush&mode=caller", "srt://h:9?passphrase=***&mode=caller"),
        (
            "rtspsrc location=rtsp://a:b@h/x user-id=me user-pw='a b' ! fakesink",
            "rtspsrc location=rtsp://***@h/x user-id=*** user-pw=*** ! fakesink",
        ),
        ("http://h/x?password=a b&c=2", "http://h/x?password=***&c=2"),
        ("http://h/x?password=@1234567&b=2", "http://***&b=2"),
        ("rtsp://u:p@h/x?token=&b=2", "rtsp://***@h/x?token=***&b=2"),
        ("clips/user=1.mp4", "clips/user=1.mp4"),
        ("rtsp://h/live?sid=abc&channel=1", "rtsp://h/live?sid=***&channel=1"),
        ("http://h/sid=abc;t=1/x.m3u8", "http://h/sid=***;t=1/x.m3u8"),
        ("http://h/live/0f3c9a7e5b1d2468/x.m3u8", "http://h/live/***/x.m3u8"),
        ("http://h/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln/x", "http://h/***/x"),
        ("rtsp://h/550e8400-e29b-41d4-a716-446655440000/1", "rtsp://h/***/1"),
        ("rtmp://a.example.com/live2/abcd-1234-efgh-5678", "rtmp://a.example.com/live2/***"),
        ("http://h/x?k=aB3xY9kQ&mode=caller", "http://h/x?k=***&mode=caller"),
        ("http://h/QwErTyUiOpAsDfGhJkLz/x", "http://h/***/x"),
        ("a location=rtsp://h/0f3c9a7e5b1d2468 ! b", "a location=rtsp://h/*** ! b"),
        ("rtsp://10.0.0.4:554/Streaming/Channels/101", "rtsp://10.0.0.4:554/Streaming/Channels/101"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/h264Preview_01_main"),
        ("rtsp://h/cam/realmonitor?channel=1&subtype=0", "rtsp://h/cam/realmonitor?channel=1&subtype=0"),
        ("rtsp://h/axis-media/media.amp?resolution=1920x1080", "rtsp://h/axis-media/media.amp?resolution=1920x1080"),
        (
            "http://camera-17.some-long-name-0123456789.example.com/x",
            "http://camera-17.some-long-name-0123456789.example.com/x",
        ),
    ],
)
def test_what_a_source_is_called_tells_no_secret(source: str, redacted: str) -> None:
    assert CameraSettings(source=source).label == redact(source) == redacted


@example(password="@0000000", key="password")
@given(
    password=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=8, max_size=30),
    key=st.sampled_from(["password", "token", "api_key", "Pwd", "X-Amz-Signature"]),
)
def test_no_password_is_ever_shown(password: str, key: str) -> None:
    assert password not in redact(f"rtsp://viewer:{password}@10.0.0.4/stream")
    if not any(character in password for character in "&;/?#'\""):
        assert password not in redact(f"http://h/x?a=1&{key}={password}&b=2")
